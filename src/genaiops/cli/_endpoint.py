"""`genaiops endpoint test|key`: prove that an endpoint answers; make keys for it."""

from __future__ import annotations

import contextlib
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genaiops.cli._app import Group
from genaiops.cli._ending import ended_in_order
from genaiops.cli._output import echo_json, note
from genaiops.cli._paths import ExistingPath
from genaiops.cli._session import open_settings

if TYPE_CHECKING:
    from genaiops.serving import EndpointAssertions, EndpointExpectation, EndpointReport

_READY = "ready "


@click.group(cls=Group)
def endpoint() -> None:
    """Prove that an endpoint answers.

    \b
    Example:
      genaiops endpoint test http://127.0.0.1:8080 --use-case web_classification
    """


@endpoint.command("test")
@click.argument("url", required=False)
@click.option("--local", "source", metavar="FLOW|PACKAGE", help="Serve this first, on a free port, and test that.")
@click.option(
    "--use-case",
    type=ExistingPath(file_okay=False),
    help="Folder with sample-request.json and, if there is one, endpoint-test.json (assertions).",
)
@click.option("--sample", type=click.Path(path_type=Path), help="The request to send.  [default: sample-request.json]")
@click.option("--output", "outputs", multiple=True, help="An output that the answer must hold. Repeatable.")
@click.option(
    "--max-latency",
    type=click.FloatRange(min=0, min_open=True),
    metavar="S",
    help="The longest time that is still good, in seconds.",
)
@click.option("--stream", is_flag=True, help="The answer must also come as server-sent events.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="S",
    help="How long it may take to be ready.",
)
@click.option("--api-key", envvar="GENAIOPS_ENDPOINT_KEY", help="Key to send; better as GENAIOPS_ENDPOINT_KEY.")
@click.option("--model-calls", type=click.Choice(["live", "replay"]), help="For --local; else as the use case says.")
@click.option("--recording", type=click.Path(path_type=Path), help="For --local with --model-calls replay.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def test_endpoint(
    url: str | None,
    source: str | None,
    use_case: Path | None,
    sample: Path | None,
    outputs: tuple[str, ...],
    max_latency: float | None,
    stream: bool,
    timeout: float,
    api_key: str | None,
    model_calls: str | None,
    recording: Path | None,
    as_json: bool,
) -> None:
    """Wait until URL is ready, send it the sample request and look at the answer. Exit code 1 when it is not good.

    \b
    Example:
      genaiops endpoint test --local flows/experiment --sample sample-request.json
    """
    from genaiops.serving import EndpointFailed, check_endpoint

    if (url is None) == (source is None):
        raise click.UsageError("Give either a URL or --local FLOW.")
    expectation = expectation_of(
        use_case,
        sample=sample or _sample_of(use_case, source),
        named_outputs=outputs,
        outputs=_declared_outputs(source),
        max_latency_s=max_latency,
        streaming=stream,
        headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
        ready_timeout_s=timeout,
    )
    if url is not None:
        report = check_endpoint(url, expectation)
    else:
        assert source is not None
        report = _test_locally(source, expectation, model_calls, recording)
    _show(report, as_json)
    if not report.passed:
        failed = "".join(f"\n  {check.name}: {check.found}" for check in report.checks if not check.passed)
        raise EndpointFailed(f"The endpoint {report.url} does not answer as it should:{failed}")


@endpoint.command("key")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--name", default="", help="Whose key it is; stands beside the digest.")
def make_key(file: Path, name: str) -> None:
    """Make a key: it is printed once, and only its SHA-256 digest is added to FILE.

    \b
    Example:
      genaiops endpoint key keys.txt --name frontend
      genaiops serve flows/chat --api-keys keys.txt
    """
    import hashlib

    key = secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode("utf-8")).hexdigest()
    with file.open("a", encoding="utf-8") as keys:
        keys.write(f"{digest}{f'  # {name}' if name else ''}\n")
    file.chmod(0o600)
    click.echo(key)
    note(f"its digest is in {file}; the key itself is nowhere: keep it")


def _test_locally(
    source: str, expectation: EndpointExpectation, model_calls: str | None, recording: Path | None
) -> EndpointReport:
    from genaiops.serving import check_endpoint

    with ended_in_order(), serve_in_background(source, model_calls, recording) as address:
        return check_endpoint(address, expectation)


@contextlib.contextmanager
def serve_in_background(source: str, model_calls: str | None = None, recording: Path | None = None) -> Iterator[str]:
    """Serve a flow on a free port for a while and give its address.

    Raises:
        EndpointFailed: It did not start; its own message went to standard error.
        InputError: The same, because of a mistake in what it was given.
    """
    from genaiops.errors import InputError
    from genaiops.serving import EndpointFailed

    command = [sys.executable, "-m", "genaiops", "serve", source, "--port", "0", "--drain-delay", "0"]
    command += [
        *(["--model-calls", model_calls] if model_calls else []),
        *(["--recording", str(recording)] if recording else []),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    assert process.stdout is not None
    try:
        line = process.stdout.readline().strip()
        if not line.startswith(_READY):
            code = process.wait(10)
            message = f"{source} could not be served; the reason stands above."
            raise InputError(message) if code == InputError.exit_code else EndpointFailed(message)
        yield line.removeprefix(_READY)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


def expectation_of(
    use_case: Path | None,
    *,
    sample: Path,
    named_outputs: tuple[str, ...] = (),
    outputs: tuple[str, ...] = (),
    max_latency_s: float | None = None,
    streaming: bool = False,
    **more: Any,
) -> EndpointExpectation:
    """What a good answer is: what was asked for, then what the use case's assertions say, then what is declared.

    Args:
        use_case: Its folder, which may hold endpoint-test.json.
        sample: The file of the request.
        named_outputs: Outputs that somebody asked for.
        outputs: Outputs that the flow declares.
        max_latency_s: The longest time that is still good.
        streaming: The answer must come as server-sent events too.
        more: Other fields of `EndpointExpectation`.
    """
    from genaiops.serving import EndpointExpectation, read_sample

    assertions = _assertions(use_case)
    return EndpointExpectation(
        sample=read_sample(sample),
        outputs=named_outputs or assertions.outputs or outputs,
        max_latency_s=max_latency_s if max_latency_s is not None else assertions.max_latency_s,
        streaming=streaming or assertions.streaming,
        expected=assertions.expected,
        **more,
    )


def _assertions(use_case: Path | None) -> EndpointAssertions:
    from genaiops.serving import ASSERTIONS_FILE, EndpointAssertions, read_assertions

    file = use_case / ASSERTIONS_FILE if use_case else None
    return read_assertions(file) if file is not None and file.is_file() else EndpointAssertions()


def _sample_of(use_case: Path | None, source: str | None) -> Path:
    folders = [use_case] if use_case else []
    if source is not None:
        path = Path(source).resolve()
        folders += [path, *path.parents[:3]]
    folders.append(Path.cwd())
    for folder in folders:
        if (folder / "sample-request.json").is_file():
            return folder / "sample-request.json"
    return Path("sample-request.json")


def _declared_outputs(source: str | None) -> tuple[str, ...]:
    from genaiops.flows import load_flow
    from genaiops.packaging import is_package

    if source is None or not Path(source).exists() or is_package(Path(source)):
        return ()
    flow = load_flow(source)
    names = tuple(name for name, output in flow.outputs.items() if not output.evaluation_only)
    return names if flow.kind == "graph" else ()


def _show(report: EndpointReport, as_json: bool) -> None:
    if as_json:
        echo_json({"schema_version": 1, **report.to_json()})
        return
    color = not open_settings().no_color
    for check in report.checks:
        mark = click.style("ok    ", fg="green") if check.passed else click.style("FAILED", fg="red", bold=True)
        click.echo(f"{mark if color else click.unstyle(mark)} {check.name}: {check.found}")
