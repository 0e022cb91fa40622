"""Bases from registries that want a sign-in: basic and token, from files, a variable and a credential helper."""

from __future__ import annotations

import base64
import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from genaiops.cli import main
from genaiops.errors import GenaiopsError
from genaiops.packaging import Layout, load_base

from .test_bases import layout_with

USER, SECRET, TOKEN, IDENTITY = "ann", "p4ss:w0rd-of-ann", "t0ken-of-the-day", "1dentity-of-ann"
BASIC = "Basic " + base64.b64encode(f"{USER}:{SECRET}".encode()).decode()


class PrivateRegistry:
    """A registry that serves nobody it does not know. `kind` is how it asks: `Basic` or `Bearer`."""

    def __init__(self, layout: Layout, digest: str, kind: str) -> None:
        self.layout, self.digest, self.kind = layout, digest, kind
        self.scopes: list[str] = []
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.answer(self, {})

            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                registry.answer(self, parse_qs(self.rfile.read(size).decode()))

            def log_message(self, *_: Any) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def reference(self) -> str:
        return f"{self.address}/team/base@{self.digest}"

    def answer(self, request: http.server.BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
        given = request.headers.get("Authorization")
        if request.path.startswith("/token"):
            asked = form or parse_qs(urlsplit(request.path).query)
            self.scopes += asked["scope"]
            is_known = form.get("refresh_token") == [IDENTITY] if form else given == BASIC
            self.send(request, 200 if is_known else 401, {"access_token": TOKEN} if is_known else {})
        elif given != (BASIC if self.kind == "Basic" else f"Bearer {TOKEN}"):
            realm = f'realm="http://{self.address}/token"' if self.kind == "Bearer" else 'realm="private"'
            self.send(request, 401, {}, {"WWW-Authenticate": f'{self.kind} {realm},service="here"'})
        else:
            self.send(request, 200, (self.layout.blobs / request.path.rpartition("sha256:")[2]).read_bytes())

    def send(self, request: Any, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)


@pytest.fixture(params=["Basic", "Bearer"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PrivateRegistry]:
    found = PrivateRegistry(*layout_with(tmp_path / "base"), request.param)
    yield found
    found.server.shutdown()
    found.server.server_close()


def auths(registry: PrivateRegistry, secret: str = SECRET) -> str:
    entry = {"auth": base64.b64encode(f"{USER}:{secret}".encode()).decode()}
    return json.dumps({"auths": {"other.example": {"auth": "bm8="}, f"http://{registry.address}/v2/": entry}})


def helper(folder: Path, name: str, answer: str, code: int = 0) -> None:
    """A credential helper: a program that is told `get` and the server, and answers with JSON."""
    folder.mkdir(exist_ok=True)
    program = folder / f"docker-credential-{name}"
    program.write_text(
        f"#!/bin/sh\n[ $1 = get ] || exit 9\nread server\ncat <<END\n{answer}\nEND\nexit {code}\n", encoding="utf-8"
    )
    program.chmod(0o755)


@pytest.mark.parametrize(
    "place", ["DOCKER_AUTH_CONFIG", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "HOME", "XDG_RUNTIME_DIR"]
)
def test_a_sign_in_is_found_where_engines_leave_it(registry: PrivateRegistry, tmp_path: Path, place: str) -> None:
    home = tmp_path / "home"
    file = {
        "REGISTRY_AUTH_FILE": home / "some.json",
        "DOCKER_CONFIG": home / "config.json",
        "HOME": home / ".docker/config.json",
        "XDG_RUNTIME_DIR": home / "containers/auth.json",
    }.get(place)
    environ = {"HOME": str(tmp_path / "nobody"), place: auths(registry) if file is None else str(home)}
    if file is not None:
        file.parent.mkdir(parents=True)
        file.write_text(auths(registry), encoding="utf-8")
    if place == "REGISTRY_AUTH_FILE":
        environ[place] = str(file)

    base = load_base(registry.reference, Layout(tmp_path / "image"), environ)

    assert (base.digest, base.python_version) == (registry.digest, "3.12")
    assert set(registry.scopes) <= {"repository:team/base:pull"}


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
def test_a_credential_helper_is_asked(registry: PrivateRegistry, tmp_path: Path, key: str) -> None:
    helper(tmp_path / "bin", "vault", json.dumps({"ServerURL": "$server", "Username": USER, "Secret": SECRET}))
    config = {"credHelpers": {registry.address: "vault"}} if key == "credHelpers" else {"credsStore": "vault"}
    environ = {
        "HOME": "/nowhere",
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "DOCKER_AUTH_CONFIG": json.dumps(config),
    }

    assert load_base(registry.reference, Layout(tmp_path / "image"), environ).digest == registry.digest


@pytest.mark.parametrize("registry", ["Bearer"], indirect=True)
@pytest.mark.parametrize("from_helper", [False, True])
def test_an_identity_token_is_exchanged(registry: PrivateRegistry, tmp_path: Path, from_helper: bool) -> None:
    config: dict[str, Any] = {"auths": {registry.address: {"identitytoken": IDENTITY}}}
    if from_helper:
        helper(tmp_path / "bin", "cloud", json.dumps({"Username": "<token>", "Secret": IDENTITY}))
        config = {"credHelpers": {registry.address: "cloud"}}
    environ = {
        "HOME": "/nowhere",
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "DOCKER_AUTH_CONFIG": json.dumps(config),
    }

    assert load_base(registry.reference, Layout(tmp_path / "image"), environ).digest == registry.digest


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{}", "It may want a sign-in: docker login 127.0.0.1"),
        ("wrong", "It does not accept the sign-in from the variable DOCKER_AUTH_CONFIG."),
        ("{ no json " + SECRET, "docker login or podman login writes it."),
        ('{"auths": {"ADDRESS": {"auth": "no base64 at all"}}}', "is not base64 of USER:PASSWORD"),
        ('{"credHelpers": {"ADDRESS": "missing"}}', "'docker-credential-missing', which 127.0.0.1"),
        ('{"credHelpers": {"ADDRESS": "../../bin/sh"}}', "is not on the PATH"),
        ('{"credHelpers": {"ADDRESS": "failing"}}', "'docker-credential-failing' failed for 127.0.0.1"),
        ('{"credHelpers": {"ADDRESS": "unknowing"}}', "It may want a sign-in"),
    ],
)
def test_what_is_wrong_with_a_sign_in_is_said_without_it(
    registry: PrivateRegistry, tmp_path: Path, config: str, said: str
) -> None:
    helper(tmp_path / "bin", "failing", f"cannot open the vault with {SECRET}", 1)
    helper(tmp_path / "bin", "unknowing", "credentials not found in native keychain", 1)
    text = auths(registry, "an0ther-secret") if config == "wrong" else config.replace("ADDRESS", registry.address)
    environ = {"HOME": "/nowhere", "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "DOCKER_AUTH_CONFIG": text}

    with pytest.raises(GenaiopsError) as raised:
        load_base(registry.reference, Layout(tmp_path / "image"), environ)

    told = f"{raised.value.message} {raised.value.hint}"
    assert said in told
    for secret in (SECRET, "an0ther-secret", BASIC.partition(" ")[2], TOKEN):
        assert secret not in told


def test_no_byte_of_a_build_holds_the_sign_in(
    registry: PrivateRegistry,
    package_index: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    flow = tmp_path / "flow"
    flow.mkdir()
    (flow / "flow.flex.yaml").write_text("entry: shout:shout\n", encoding="utf-8")
    (flow / "shout.py").write_text("def shout(text: str) -> str:\n    return text.upper()\n", encoding="utf-8")
    (tmp_path / "home/.docker").mkdir(parents=True)
    (tmp_path / "home/.docker/config.json").write_text(auths(registry), encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("DOCKER_AUTH_CONFIG", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)

    code = main(["build", str(flow), "--base", registry.reference, "--output", str(tmp_path / "image"), "--no-test"])

    assert code == 0
    printed = capfd.readouterr()
    written = [path.read_bytes() for path in (tmp_path / "image").rglob("*") if path.is_file()]
    unpacked = [gzip.decompress(content) for content in written if content[:2] == b"\x1f\x8b"]
    for secret in (SECRET, BASIC.partition(" ")[2], TOKEN):
        assert secret not in printed.out + printed.err
        assert not any(secret.encode() in content for content in (*written, *unpacked))


def test_a_sign_in_shows_no_secret_when_it_is_printed(tmp_path: Path) -> None:
    from genaiops.packaging._sign_in import find_sign_in

    entry = {"auth": BASIC.partition(" ")[2]}
    hub = json.dumps({"auths": {"https://index.docker.io/v1/": entry, "registry.example/team": entry}})
    environ = {"HOME": str(tmp_path), "DOCKER_AUTH_CONFIG": hub}
    found = find_sign_in("registry-1.docker.io", environ)

    assert found is not None
    assert (found.user, found.secret) == (USER, SECRET)
    assert SECRET not in repr(found)
    assert find_sign_in("registry.example", environ) is None, "of one repository only"
