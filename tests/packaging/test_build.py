"""`genaiops build` from files to an image: what comes along, what never does, and what is refused."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from genaiops.cli import main
from genaiops.packaging import content_digest, open_package
from genaiops.packaging._files import PackagedFile
from genaiops.schemas import load_schema

pytestmark = pytest.mark.usefixtures("package_index", "no_engine")

FLOW = """\
inputs:
  text: {type: string}
outputs:
  answer: {type: string, reference: "${ask.output}"}
nodes:
- name: ask
  type: python
  source: {type: code, path: ask.py}
  inputs: {text: "${inputs.text}", service: search}
"""
ASK = """\
import os
from promptflow.core import tool
from promptflow.connections import CustomConnection

@tool
def ask(text: str, service: CustomConnection) -> str:
    return text + os.environ["REGION"]
"""
EXPERIMENT = """\
name: greetings
flow: flows/greet
connections:
- name: search
  connection_type: custom
  secrets: {api_key: "${SEARCH_API_KEY}"}
  configs: {endpoint: "https://search.example/"}
"""


SPELLINGS = [str, lambda key: json.dumps(key)[1:-1], lambda key: base64.b64encode(key.encode()).decode()]


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Here the image is looked at, not started: no container engine is on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def use_case(tmp_path: Path) -> Path:
    return write(
        tmp_path / "repository" / "greetings",
        {
            "experiment.yaml": EXPERIMENT,
            "sample-request.json": '{"text": "hello"}',
            "environment/env.yaml": "region: eu\nsearch_token: ${SEARCH_TOKEN}\n",
            "flows/greet/flow.dag.yaml": FLOW,
            "flows/greet/ask.py": ASK,
        },
    )


def build(use_case: Path, output: Path, base: Path, *words: str) -> int:
    return main(["build", str(use_case), "--output", str(output), "--base", str(base), *words])


def files_of(output: Path) -> dict[str, bytes]:
    """Every file of the image's own layers."""
    index = json.loads((output / "index.json").read_text(encoding="utf-8"))
    manifest = blob(output, index["manifests"][0]["digest"])
    found = {}
    for layer in manifest["layers"]:
        packed = (output / "blobs/sha256" / layer["digest"][7:]).read_bytes()
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as archive:
            for member in archive:
                if member.isfile():
                    found[member.name] = archive.extractfile(member).read()  # type: ignore[union-attr]
    return found


def blob(output: Path, digest: str) -> Any:
    return json.loads((output / "blobs/sha256" / digest[7:]).read_text(encoding="utf-8"))


def config_of(output: Path) -> Any:
    index = json.loads((output / "index.json").read_text(encoding="utf-8"))
    return blob(output, blob(output, index["manifests"][0]["digest"])["config"]["digest"])


def every_byte(folder: Path) -> dict[str, bytes]:
    """All files below a folder, layers unpacked beside their packed form."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            found[str(path)] = content
            if content[:2] == b"\x1f\x8b":
                found[f"{path} (unpacked)"] = gzip.decompress(content)
    return found


def forms_of(secret: str) -> list[bytes]:
    """A secret as it is, escaped for JSON, and in base64 wherever it begins in it."""
    texts = [secret, json.dumps(secret)[1:-1]]
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + secret.encode()).decode()
        texts.append(encoded[4 if shift else 0 : -4])
    return [text.encode() for text in texts]


def test_two_builds_in_different_surroundings_give_the_same_bytes(
    use_case: Path, small_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "elsewhere" / "deeper" / "greetings"
    shutil.copytree(use_case, other)
    assert build(use_case, tmp_path / "one", small_base) == 0

    for path in other.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o700 if path.is_dir() else 0o600)
    monkeypatch.setenv("REGION", "another one")
    monkeypatch.setenv("SEARCH_TOKEN", "a-token-that-is-set")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    before = os.umask(0o077)
    try:
        assert build(other, tmp_path / "two", small_base) == 0
    finally:
        os.umask(before)

    blobs = [
        {path.name: path.read_bytes() for path in (tmp_path / name / "blobs/sha256").iterdir()}
        for name in ("one", "two")
    ]
    assert blobs[0] == blobs[1]
    assert (tmp_path / "one/index.json").read_bytes() == (tmp_path / "two/index.json").read_bytes()


def test_the_manifest_tells_what_is_in_it_and_names_what_it_needs(
    use_case: Path, small_base: Path, tmp_path: Path
) -> None:
    write(use_case / "flows/greet", {"__pycache__/ask.pyc": "x", ".env": "A=b", ".runs/1/run.json": "{}"})

    assert build(use_case, tmp_path / "image", small_base) == 0

    files = files_of(tmp_path / "image")
    manifest = json.loads(files["app/package.json"])
    assert [file["path"] for file in manifest["files"]] == ["flow/ask.py", "flow/flow.dag.yaml", "sample-request.json"]
    assert files["app/flow/ask.py"].decode() == ASK
    assert manifest["connections"] == ["search"]
    assert manifest["connection_variables"] == {
        "search": ["SEARCH_API_KEY", "SEARCH_CONNECTION_TYPE", "SEARCH_ENDPOINT"]
    }
    assert manifest["defaults"] == {"REGION": "eu", "SEARCH_TOKEN": "${SEARCH_TOKEN}"}
    assert manifest["required"] == ["SEARCH_TOKEN"]
    assert b"search.example" not in b"".join(files.values()), "connections come along as names only"
    assert all("==" in line for line in files["app/requirements.lock"].decode().splitlines())


def test_the_digest_of_a_package_follows_from_paths_modes_and_bytes(
    use_case: Path, small_base: Path, tmp_path: Path
) -> None:
    """The definition in the reference, computed a second time from the manifest in the image."""
    import hashlib

    assert build(use_case, tmp_path / "image", small_base) == 0

    manifest = json.loads(files_of(tmp_path / "image")["app/package.json"])
    defaults = sorted(manifest["defaults"].items())
    choices = json.dumps(
        [manifest["variant"], manifest["init"], defaults, sorted(manifest["requirements"])], sort_keys=True
    )
    listed = [
        PackagedFile(file["path"], Path(), int(file["mode"], 8), file["size"], file["sha256"])
        for file in manifest["files"]
    ]
    chosen = PackagedFile("\0choices", Path(), 0, len(choices), hashlib.sha256(choices.encode()).hexdigest())
    assert manifest["digest"] == content_digest([*listed, chosen])


def test_an_image_runs_as_nobody_special_and_says_what_it_is(use_case: Path, small_base: Path, tmp_path: Path) -> None:
    assert build(use_case, tmp_path / "image", small_base, "--label", "org.opencontainers.image.revision=abc 1") == 0

    config = config_of(tmp_path / "image")["config"]
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][:2] == ["CMD", "/usr/bin/python3.12"]
    assert config["Labels"]["org.opencontainers.image.title"] == "greetings"
    assert config["Labels"]["org.opencontainers.image.revision"] == "abc 1"
    dockerfile = (tmp_path / "image/docker/Dockerfile").read_text(encoding="utf-8")
    assert 'org.opencontainers.image.revision="abc 1"' in dockerfile
    assert "USER 10001:10001" in dockerfile


def test_the_bill_of_materials_keeps_to_the_schema_of_cyclonedx(
    use_case: Path, small_base: Path, tmp_path: Path
) -> None:
    assert build(use_case, tmp_path / "image", small_base) == 0

    text = files_of(tmp_path / "image")["app/sbom.cdx.json"].decode()
    lock = files_of(tmp_path / "image")["app/requirements.lock"].decode().splitlines()
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(text) is None
    components = json.loads(text)["components"]
    libraries = {
        f"{item['name']}=={item['version']}" for item in components if item.get("purl", "").startswith("pkg:pypi")
    }
    assert libraries == {*lock, *[item for item in libraries if item.startswith("genaiops==")]}
    assert all(item["licenses"] for item in components if item["name"] == "openai")


def test_a_planted_secret_is_in_no_byte_of_an_image(
    use_case: Path, small_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    secrets = {
        "SEARCH_API_KEY": 'pl4nted"key/Zq3LkP0vTx8',
        "SEARCH_TOKEN": "pl4nted-token-81MnBcR7yH",
        "MODEL_CONFIG_API_KEY": "pl4nted-init-dW2sQx9Lr==",
        "STORE_PASSWORD": "pl4nted-dotenv-5fGh7Jk2",
    }
    write(
        use_case,
        {
            "flows/greet/flow.flex.yaml": "entry: greet:Greet\n",
            "flows/greet/greet.py": "class Greet:\n    def __init__(self, model_config: dict): ...\n"
            "    def __call__(self, text: str) -> str:\n        return text\n",
            "flows/greet/init.json": json.dumps({"model_config": {"api_key": "${MODEL_CONFIG_API_KEY}"}}),
            ".env": f"STORE_PASSWORD={secrets['STORE_PASSWORD']}\n",
            "flows/greet/.env": f"STORE_PASSWORD={secrets['STORE_PASSWORD']}\n",
        },
    )
    (use_case / "flows/greet/flow.dag.yaml").unlink()
    for name in ("SEARCH_API_KEY", "SEARCH_TOKEN", "MODEL_CONFIG_API_KEY"):
        monkeypatch.setenv(name, secrets[name])

    assert build(use_case, tmp_path / "image", small_base, "--json") == 0

    printed = capfd.readouterr()
    searched = {**every_byte(tmp_path / "image"), "stdout": printed.out.encode(), "stderr": printed.err.encode()}
    assert any(name.endswith("(unpacked)") for name in searched)
    for name, content in searched.items():
        for secret in secrets.values():
            assert not any(form in content for form in forms_of(secret)), name
    assert json.loads(printed.out)["required"] == ["MODEL_CONFIG_API_KEY", "SEARCH_TOKEN"]
    jsonschema.validate(json.loads(printed.out), load_schema("build"))


@pytest.mark.parametrize("spelled", SPELLINGS)
def test_a_file_that_holds_a_key_that_is_set_here_is_refused(
    use_case: Path,
    small_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    spelled: Any,
) -> None:
    key = 'not"a usual key'
    monkeypatch.setenv("SEARCH_API_KEY", key)
    write(use_case / "flows/greet", {"notes.txt": f"remember {spelled(key)} for later"})

    assert build(use_case, tmp_path / "image", small_base) == 2

    printed = capfd.readouterr()
    assert "flow/notes.txt" in printed.err
    assert spelled(key) not in printed.err + printed.out
    assert not (tmp_path / "image").exists()


@pytest.mark.parametrize(
    ("file", "text", "kind"),
    [
        ("connection.yaml", "api_key: sk-Zq3LkP0vTx81MnBcR7yHdW2s\n", "OpenAI key"),
        ("requirements.txt", "--index-url https://me:pa55word9x@index.internal/simple\n", "password in an address"),
        ("init.json", '{"model_config": {"api_key": "0b7f2c9d4e8a41f6b3d5c7e9a1f2b4d6"}}', "Azure key"),
    ],
    # The name of a test stands in a variable while it runs, and passwords in variables are secrets that are set.
    ids=["connection", "requirements", "init"],
)
def test_a_key_typed_into_a_file_is_refused_with_its_line(
    use_case: Path, small_base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], file: str, text: str, kind: str
) -> None:
    write(use_case / "flows/greet", {file: text})

    assert build(use_case, tmp_path / "image", small_base) == 2

    printed = capfd.readouterr().err
    assert f"flow/{file}:1 ({kind})" in printed
    assert text.strip() not in printed


def test_a_flow_that_needs_a_file_from_outside_its_folder_is_refused_with_the_place(
    use_case: Path, small_base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(
        use_case / "flows",
        {
            "shared/format.json": "{}",
            "greet/ask.prompty": "---\nmodel:\n  api: chat\n  parameters:\n    response_format: "
            "${file:../shared/format.json}\n---\nuser:\nhi\n",
        },
    )

    assert build(use_case, tmp_path / "image", small_base) == 2

    printed = capfd.readouterr().err
    assert "ask.prompty:5 names '../shared/format.json'" in printed
    assert "Move them into the flow's folder" in printed
    assert not (tmp_path / "image").exists()


def test_a_file_that_only_looks_as_if_it_held_a_key_can_be_let_in(
    use_case: Path, small_base: Path, tmp_path: Path
) -> None:
    write(use_case / "flows/greet", {"words.txt": "sk-Zq3LkP0vTx81MnBcR7yHdW2s\n"})

    assert build(use_case, tmp_path / "image", small_base, "--harmless", "flow/words.txt") == 0


def test_init_values_reach_the_served_class_as_json(use_case: Path, small_base: Path, tmp_path: Path) -> None:
    """The template split them on blanks and on `=`, and lost all of them when one held either."""
    values = {
        "title": "two words = a=b==",
        "share": 0.25,
        "steps": [1, 2.5, None],
        "nothing": None,
        "deep": {"on": True},
    }
    write(
        use_case / "flows/greet",
        {
            "flow.flex.yaml": "entry: greet:Greet\n",
            "greet.py": "class Greet:\n    def __init__(self, **values): ...\n"
            "    def __call__(self, text: str) -> str:\n        return text\n",
            "init.json": json.dumps(values),
        },
    )
    (use_case / "flows/greet/flow.dag.yaml").unlink()

    assert build(use_case, tmp_path / "image", small_base, "--init", "title=k=v w") == 0

    opened = open_package(tmp_path / "image/docker/app", {"SEARCH_TOKEN": "x"})
    assert opened.init == {**values, "title": "k=v w"}
    assert opened.variables == {"REGION": "eu"}, "what is set already is left alone"
    assert opened.missing == ()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--base", "python:3.12-slim"], "registry reference with a digest"),
        (["--base", "python@sha256:123"], "REGISTRY/NAME@sha256:DIGEST"),
        (["--base", "no/such/folder"], "neither a folder, a file, nor"),
        (["--tag", "a b"], "--tag"),
        (["--variant", "ask.none"], "ask"),
        (["--label", "x"], "--label expects NAME=VALUE"),
    ],
)
def test_a_wrong_word_is_refused_before_anything_is_written(
    use_case: Path, small_base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert build(use_case, tmp_path / "image", small_base, *words) == 2

    assert said in capfd.readouterr().err
    assert not (tmp_path / "image").exists()


def test_a_registry_that_is_down_is_said(use_case: Path, small_base: Path, tmp_path: Path, capfd: Any) -> None:
    reference = f"127.0.0.1:9/team/base@sha256:{'0' * 64}"

    assert build(use_case, tmp_path / "image", small_base, "--base", reference) == 1

    assert "cannot be reached" in capfd.readouterr().err


def test_a_requirement_that_cannot_be_locked_is_said(
    use_case: Path, small_base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(use_case / "flows/greet", {"requirements.txt": "promptflow\nno-such-package-anywhere==9.9\n"})

    assert build(use_case, tmp_path / "image", small_base) == 1

    printed = capfd.readouterr().err
    assert "no-such-package-anywhere" in printed
    assert "requirements.txt" in printed
    assert not (tmp_path / "image/index.json").exists()


def test_what_a_flow_pins_wins_over_our_pins_and_prompt_flows_own_packages_stay_away(
    use_case: Path, small_base: Path, tmp_path: Path, package_index: Path
) -> None:
    from tests.packaging.conftest import write_wheel

    write_wheel(package_index, "openai", "1.50.0")
    write(
        use_case / "flows/greet",
        {"more.txt": "openai==1.50.0\n", "requirements.txt": "-r more.txt\npromptflow-tools\n"},
    )

    assert build(use_case, tmp_path / "image", small_base) == 0

    lock = files_of(tmp_path / "image")["app/requirements.lock"].decode().splitlines()
    assert "openai==1.50.0" in lock
    assert not [line for line in lock if line.startswith("promptflow")]


def test_a_failed_build_leaves_the_image_of_the_last_good_one(
    use_case: Path, small_base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert build(use_case, tmp_path / "image", small_base) == 0
    before = every_byte(tmp_path / "image")
    write(use_case / "flows/greet", {"requirements.txt": "no-such-package-anywhere==9.9\n"})

    assert build(use_case, tmp_path / "image", small_base) == 1

    after = every_byte(tmp_path / "image")
    assert before.items() <= after.items()


def test_without_an_engine_the_output_says_that_nothing_was_tried(
    use_case: Path, small_base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert build(use_case, tmp_path / "image", small_base) == 0

    printed = capfd.readouterr()
    assert "tested   not tested: no container engine" in printed.out
    assert "variable SEARCH_TOKEN" in printed.out
    assert f"skopeo copy oci:{tmp_path / 'image'}:latest docker://REGISTRY/greetings:latest" in printed.out
    assert "warning: nobody has seen this image answer" in printed.err


def test_a_test_that_was_asked_for_and_cannot_be_made_builds_nothing(
    use_case: Path, small_base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert build(use_case, tmp_path / "image", small_base, "--test") == 2

    assert "no container engine (docker or podman) answers here" in capfd.readouterr().err
    assert not (tmp_path / "image").exists()


@pytest.fixture
def engine_that_answers(no_engine: None, tmp_path: Path) -> None:
    """An engine as far as it is asked before a build: `podman info` succeeds."""
    (tmp_path / "bin/podman").write_text("#!/bin/sh\n[ $1 = info ]\n", encoding="utf-8")
    (tmp_path / "bin/podman").chmod(0o755)


@pytest.mark.usefixtures("engine_that_answers")
def test_an_image_that_could_not_be_tested_for_lack_of_values_is_not_built_and_all_of_them_are_named(
    use_case: Path, small_base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert build(use_case, tmp_path / "image", small_base) == 2

    said = capfd.readouterr().err
    assert "could not be tested; not set are:" in said
    for name in ("SEARCH_API_KEY", "variable SEARCH_TOKEN"):
        assert name in said
    assert "--no-test" in said
    assert not (tmp_path / "image").exists()


@pytest.mark.usefixtures("engine_that_answers")
def test_an_image_that_nobody_tests_is_built_when_that_is_said(
    use_case: Path, small_base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert build(use_case, tmp_path / "image", small_base, "--no-test", "--json") == 0

    printed = capfd.readouterr()
    assert (json.loads(printed.out)["tested"], json.loads(printed.out)["test"]) == (False, "not tested: --no-test")
    assert "warning: nobody has seen this image answer (not tested: --no-test)" in printed.err


def test_what_an_image_leaves_out_is_missed_by_no_server(use_case: Path, small_base: Path, tmp_path: Path) -> None:
    """The files of an image, served with the packages of this environment: errors are said, requests answered."""
    (use_case / "flows/greet/flow.dag.yaml").write_text(FLOW.replace(", service: search", ""), encoding="utf-8")
    (use_case / "flows/greet/ask.py").write_text(
        "from promptflow.core import tool\n\n@tool\ndef ask(text: str) -> str:\n    return text.upper()\n",
        encoding="utf-8",
    )
    assert build(use_case, tmp_path / "image", small_base) == 0
    app = tmp_path / "image/docker/app"
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    (app / "lib/genaiops").rename(runtime / "genaiops")
    environ = {**os.environ, "PYTHONPATH": str(runtime), "GENAIOPS_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "genaiops", "serve", str(app), "--port", "0", "--drain-delay", "0"]

    refused = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    server = subprocess.Popen(
        command, env={**environ, "SEARCH_TOKEN": "x"}, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip().removeprefix("ready ")
        request = urllib.request.Request(f"{address}/score", b'{"text": "hi"}', {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as reply:
            answer = json.loads(reply.read())
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(
                urllib.request.Request(f"{address}/score", b'{"other": 1}', {"Content-Type": "application/json"}),
                timeout=30,
            )
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
        server.stdout.close()

    assert not (runtime / "genaiops/reports").exists()
    assert (refused.returncode, refused.stderr.splitlines()[:2]) == (
        2,
        ["error: The server is not started; not set is:", "  variable SEARCH_TOKEN"],
    )
    assert answer == {"answer": "HI"}
