"""`genaiops serve`: answer requests for a flow or a package over HTTP."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genaiops import __version__
from genaiops.cli._flow_options import SpreadCommand, flow_options, host_settings
from genaiops.cli._output import note
from genaiops.cli._session import open_settings
from genaiops.cli._surroundings import flow_home, nearby_folders, open_store, require_values, use_case_facts

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore
    from genaiops.runs import FlowRequest
    from genaiops.settings import Settings

_DIGEST = re.compile(r"[0-9a-f]{64}")


@click.command(cls=SpreadCommand)
@click.argument("source", metavar="FLOW|PACKAGE", default=".")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    envvar="GENAIOPS_PORT",
    help="The port; 0 takes a free one.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address; 0.0.0.0 lets others in.")
@click.option("--workers", type=int, help="Processes that answer.  [default: 1]")
@click.option("--concurrency", default=256, show_default=True, help="Rows in flight in one worker.")
@click.option("--queue", default=512, show_default=True, help="Requests that may wait in one worker; more get 429.")
@click.option("--rpm", type=click.IntRange(min=1), help="Requests a minute to one deployment, of all workers together.")
@click.option("--tpm", type=click.IntRange(min=1), help="Tokens a minute to one deployment, of all workers together.")
@click.option("--deadline", default=300.0, show_default=True, metavar="S", help="Seconds for one request, then 504.")
@click.option(
    "--max-stuck", default=16, show_default=True, help="Threads of flow code past their deadline that a worker bears."
)
@click.option("--max-body", default=4 * 1024 * 1024, show_default=True, metavar="BYTES", help="Larger bodies get 413.")
@click.option("--drain-delay", default=1.0, show_default=True, metavar="S", help="Still answer so long after SIGTERM.")
@click.option("--grace", default=25.0, show_default=True, metavar="S", help="End so long after SIGTERM at the latest.")
@click.option("--api-keys", type=click.Path(path_type=Path, exists=True), help="File of SHA-256 digests, one a line.")
@click.option("--cors", multiple=True, metavar="ORIGIN", help="Let this web origin call from browsers. Repeatable.")
@click.option("--log", "log_folder", type=click.Path(path_type=Path), help="Log requests as outcomes in this folder.")
@click.option("--log-sample", default=1.0, show_default=True, help="The share of requests that is logged.")
@click.option("--reload", is_flag=True, help="Start anew when a file of the flow changes, for development.")
@flow_options
def serve(
    source: str,
    port: int,
    host: str,
    workers: int | None,
    concurrency: int,
    queue: int,
    rpm: int | None,
    tpm: int | None,
    deadline: float,
    max_stuck: int,
    max_body: int,
    drain_delay: float,
    grace: float,
    api_keys: Path | None,
    cors: tuple[str, ...],
    log_folder: Path | None,
    log_sample: float,
    reload: bool,
    **flow_words: Any,
) -> None:
    """Answer requests for FLOW over HTTP: /score as prompt flow's clients know it, /v1/chat/completions for chat flows,
    /health, /metrics, and a page to try the flow at /.

    Keys: `--api-keys FILE` with digests (make one with: genaiops endpoint key FILE), or GENAIOPS_API_KEYS=key1,key2.

    \b
    Example:
      genaiops serve flows/chat --port 8080
      curl -X POST http://127.0.0.1:8080/score -d '{"question": "What do bees make?"}'
    """
    from genaiops.serving import ServeOptions, early_workers, end_when_told, open_shared, options_from_environment

    end_when_told()
    home = flow_home(source)
    settings = open_settings()
    settings = open_settings(folders=nearby_folders(home, settings.project))
    options = ServeOptions(
        **{
            "version": __version__,
            **options_from_environment(settings.environ),
            **({"workers": workers} if workers is not None else {}),
            "host": host,
            "port": port,
            "concurrency": concurrency,
            "queue": queue,
            "deadline_s": deadline,
            "max_stuck": max_stuck,
            "max_body_bytes": max_body,
            "drain_delay_s": drain_delay,
            "grace_s": grace,
            "api_key_digests": _key_digests(api_keys, settings.environ),
            "cors_origins": cors,
            "log_folder": str(log_folder.resolve()) if log_folder else None,
            "log_sample": log_sample,
        }
    )
    # The workers load their libraries while this process finds out what they shall serve.
    with (
        open_shared(host, port) as shared,
        early_workers(options.workers, settings.environ, shared) as early,
    ):
        from genaiops.serving import serve_flow

        fields = host_settings(**flow_words, use_case=use_case_facts(home))
        request, unset = _request(source, {**fields, "budget_rpm": rpm, "budget_tpm": tpm}, settings)
        store = open_store(settings, flow_home(str(request.flow)))
        _require_everything(request, unset, store)
        if host not in ("127.0.0.1", "localhost", "::1") and not options.api_key_digests and not settings.is_ci:
            note("anybody who reaches this address may call: no API keys are set (--api-keys)")
        serve_flow(request, options, settings, store, shared=shared, early=early, on_ready=_say_ready, reload=reload)


def _say_ready(address: str) -> None:
    click.echo(f"ready {address}")


def _request(source: str, fields: dict[str, Any], settings: Settings) -> tuple[FlowRequest, tuple[str, ...]]:
    """The flow to serve, and variables that are not set: of a package, what its manifest says."""
    from genaiops.packaging import is_package, open_package
    from genaiops.runs import FlowRequest

    init = fields.pop("init") or _init_from_environment(settings.environ)
    path = Path(source)
    if not is_package(path):
        return FlowRequest(flow=source, init=init, **fields), ()
    given = fields.pop("environment_variables")
    package = open_package(path, {**settings.environ, **given}, init=init)
    fields["variant"] = fields["variant"] or package.variant or None
    # The packages were installed when the image was built: nothing is built where it runs.
    fields["environment"] = "current"
    request = FlowRequest(
        flow=package.flow,
        init=package.init or None,
        environment_variables={**package.variables, **given},
        **fields,
    )
    return request, package.missing


def _init_from_environment(environ: Mapping[str, str]) -> dict[str, Any] | None:
    """`PF_FLOW_INIT_CONFIG`: constructor values as JSON, prompt flow's way to pass them to a container."""
    from genaiops.errors import SettingsError

    text = environ.get("PF_FLOW_INIT_CONFIG")
    if not text:
        return None
    try:
        values = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"Expected PF_FLOW_INIT_CONFIG to hold a JSON object: {error}.") from error
    if not isinstance(values, dict):
        raise SettingsError("Expected PF_FLOW_INIT_CONFIG to hold a JSON object.")
    return values


def _require_everything(request: FlowRequest, unset: tuple[str, ...], store: ConnectionStore) -> None:
    """Name all that is missing, connections and variables, before anything is started."""
    from genaiops.flows import survey_flow

    path = Path(str(request.flow))
    missing: list[Any] = []
    if request.model_calls != "replay" and path.exists():
        chosen = request.variant if isinstance(request.variant, Mapping) else None
        missing = store.missing(survey_flow(_flow_file(path), every_variant=False, chosen=chosen).connections())
    require_values("The server is not started", missing, unset, hint="Set them in the environment or in .env.")


def _flow_file(path: Path) -> Path:
    from genaiops.flows import load_flow

    return load_flow(path).path if path.is_dir() else path


def _key_digests(file: Path | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Digests of the keys that may call. A digest cannot be turned back into its key."""
    from genaiops.errors import SettingsError

    found: list[str] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines() if file else (), 1):
        words = line.partition("#")[0].split()
        if words and not _DIGEST.fullmatch(words[0]):
            # The line is not shown: somebody may have written the key itself.
            raise SettingsError(
                "Expected a SHA-256 digest of 64 hexadecimal digits.",
                file=file,
                line=number,
                hint="Make keys with: genaiops endpoint key FILE",
            )
        found += words[:1]
    keys = (key.strip() for key in environ.get("GENAIOPS_API_KEYS", "").split(","))
    return (*found, *(hashlib.sha256(key.encode("utf-8")).hexdigest() for key in keys if key))
