"""An experiment in an MLflow tracking server: written once, and only what changed when it is written again."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from genaiops.errors import MissingExtraError, SettingsError, suggest
from genaiops.experiments import ExperimentResult
from genaiops.mirrors._mapping import DIGEST_TAG, ID_TAG, MirroredRun, plan_mirror
from genaiops.records import record

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow import MlflowClient

_log = logging.getLogger(__name__)
_KINDS = ("mlflow",)
_TRACES_TAG = "genaiops.traces"
_AT_ONCE = 100
_TIMEOUT_S = 10


@record(frozen=True, kw_only=True)
class Mirrored:
    """What came of it.

    Args:
        runs: Runs written, those that were there unchanged not counted.
        unchanged: Runs that were there already.
        traces: Rows whose traces were sent.
        address: Page of the experiment's run, when the server has pages.
        error: Why it did not work, or did not work wholly.
    """

    runs: int = 0
    unchanged: int = 0
    traces: int = 0
    address: str | None = None
    error: str | None = None


def check_mirror(kind: str, environ: Mapping[str, str]) -> None:
    """See to it, before anything is started, that a mirror can be written.

    Raises:
        SettingsError: No such mirror, or `MLFLOW_TRACKING_URI` is not set.
        MissingExtraError: MLflow is not installed.
    """
    if kind not in _KINDS:
        raise SettingsError(f"There is no mirror {kind!r}.", hint=suggest(kind, _KINDS))
    if not environ.get("MLFLOW_TRACKING_URI"):
        raise SettingsError("The mirror needs the address of the server.", hint="Set MLFLOW_TRACKING_URI.")
    import importlib.util

    if importlib.util.find_spec("mlflow") is None:
        raise MissingExtraError("mlflow", extra="mlflow", purpose="for --mirror mlflow")


def mirror_experiment(result: ExperimentResult, environ: Mapping[str, str]) -> Mirrored:
    """Copy runs, metrics, files and traces; a failure is told, never raised.

    Args:
        result: The experiment.
        environ: Holds `MLFLOW_TRACKING_URI`, perhaps `MLFLOW_EXPERIMENT_NAME`, and what the server wants to know.
    """
    uri = environ["MLFLOW_TRACKING_URI"].rstrip("/")
    try:
        _reach(uri)
        with _mlflow_variables(environ):
            return _Mirror(uri, environ).write(result)
    except Exception as error:  # noqa: BLE001 - whatever the server or its client does, the experiment is done
        _log.debug("the mirror failed", exc_info=True)
        return Mirrored(error=f"{_bare(uri)}: {_reason(error)}")


class _Mirror:
    def __init__(self, uri: str, environ: Mapping[str, str]) -> None:
        from mlflow import MlflowClient

        self._uri = uri
        self._speaks_http = uri.startswith(("http://", "https://"))
        self._environ = environ
        self._client: MlflowClient = MlflowClient(tracking_uri=uri)
        self._experiment = ""
        self._runs = self._unchanged = self._traces = 0
        self._error: str | None = None

    def write(self, result: ExperimentResult) -> Mirrored:
        """The parent, then the runs below it."""
        plan = plan_mirror(result)
        self._experiment = self._experiment_id(self._environ.get("MLFLOW_EXPERIMENT_NAME") or plan.experiment)
        parent = self._run(plan.parent, {})
        for child in plan.children:
            run_id = self._run(child, {"mlflow.parentRunId": parent})
            if child.traces is not None:
                self._send_traces(run_id, child.traces)
        page = f"{_bare(self._uri)}/#/experiments/{self._experiment}/runs/{parent}" if self._speaks_http else None
        return Mirrored(
            runs=self._runs, unchanged=self._unchanged, traces=self._traces, address=page, error=self._error
        )

    def _experiment_id(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found is not None else self._client.create_experiment(name))

    def _run(self, wanted: MirroredRun, more: Mapping[str, str]) -> str:
        """Id of the run in the server: found by our id, else made."""
        found = self._client.search_runs([self._experiment], f"tags.`{ID_TAG}` = '{wanted.key}'", max_results=1)
        if found and found[0].data.tags.get(DIGEST_TAG) == wanted.digest:
            self._unchanged += 1
            return str(found[0].info.run_id)
        tags = {ID_TAG: wanted.key, **more}
        run = (
            found[0]
            if found
            else self._client.create_run(
                self._experiment, start_time=wanted.start_ms, tags=dict(tags), run_name=wanted.name
            )
        )
        run_id = str(run.info.run_id)
        self._fill(run_id, wanted)
        self._runs += 1
        return run_id

    def _fill(self, run_id: str, wanted: MirroredRun) -> None:
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(name, value, wanted.end_ms, 0) for name, value in wanted.metrics.items()]
        parameters = [Param(name, value) for name, value in wanted.parameters.items()]
        tags = [RunTag(name, value) for name, value in wanted.tags.items()]
        for start in range(0, max(len(metrics), len(parameters), len(tags)), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            self._client.log_batch(run_id, metrics=metrics[part], params=parameters[part], tags=tags[part])
        for file in wanted.files:
            self._client.log_artifact(run_id, str(file))
        self._client.set_terminated(run_id, wanted.status, wanted.end_ms)
        # Last, so that a copy that broke off is made again.
        self._client.set_tag(run_id, DIGEST_TAG, wanted.digest)

    def _send_traces(self, run_id: str, file: Path) -> None:
        """Our lines are what the server's OTLP address takes; servers without one are told of, once."""
        if not self._speaks_http or self._error:
            return
        done = int(self._client.get_run(run_id).data.tags.get(_TRACES_TAG, 0))
        sent = done
        with file.open("rb") as lines:
            for number, line in enumerate(lines):
                if number < done or not line.strip():
                    continue
                try:
                    self._post(line, run_id)
                except urllib.error.URLError as error:
                    self._error = f"The server takes no traces: {_reason(error)}"
                    break
                sent = number + 1
                self._traces += _rows_traced(line)
        if sent != done:
            self._client.set_tag(run_id, _TRACES_TAG, str(sent))

    def _post(self, line: bytes, run_id: str) -> None:
        headers = {
            "content-type": "application/json",
            "x-mlflow-experiment-id": self._experiment,
            "x-mlflow-run-id": run_id,
            **_authorization(self._uri, self._environ),
        }
        request = urllib.request.Request(f"{_bare(self._uri)}/v1/traces", data=line, headers=headers)  # noqa: S310 - http only
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310
            pass


def _bare(uri: str) -> str:
    """An address without the user and the password that it may hold."""
    scheme, mark, rest = uri.rpartition("://")
    return scheme + mark + rest.rpartition("@")[2]


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    text = str(getattr(error, "reason", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _rows_traced(line: bytes) -> int:
    """Rows whose spans a line of OTLP/JSON holds: a line holds those that finished together."""
    content = json.loads(line)
    return len(
        {
            span["traceId"]
            for resource in content["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        }
    )


def _authorization(uri: str, environ: Mapping[str, str]) -> dict[str, str]:
    """As MLflow's own client has it: a token, or user and password from variables or from the address."""
    address = urlsplit(uri)
    token = environ.get("MLFLOW_TRACKING_TOKEN")
    user = environ.get("MLFLOW_TRACKING_USERNAME") or unquote(address.username or "")
    if token:
        return {"authorization": f"Bearer {token}"}
    if user:
        pair = f"{user}:{environ.get('MLFLOW_TRACKING_PASSWORD') or unquote(address.password or '')}"
        return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


def _reach(uri: str) -> None:
    """A server that is not there is known at once; its own client would try for minutes."""
    if not uri.startswith(("http://", "https://")):
        return
    # Any answer will do: some servers know no such page, or ask who is there.
    with (
        contextlib.suppress(urllib.error.HTTPError),
        urllib.request.urlopen(f"{_bare(uri)}/health", timeout=_TIMEOUT_S),  # noqa: S310
    ):
        pass


@contextlib.contextmanager
def _mlflow_variables(environ: Mapping[str, str]) -> Iterator[None]:
    """The client takes credentials from the process's environment only, and `.env` is not part of that."""
    wanted = {name: value for name, value in environ.items() if name.startswith("MLFLOW_")}
    wanted.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    # Standard output is ours: with --json it is one object.
    wanted["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    before: dict[str, Any] = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
