"""`PFClient().runs`: start, find, read and label runs."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.compat._exceptions import InvalidRunStatusError, RunNotFoundError
from genaiops.compat._runs import Run, RunStatus, detail_rows, is_archived, relabel, run_error
from genaiops.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from genaiops.runs import RunRecord

MAX_SHOWN = 100


class RunOperations:
    """Runs of this project."""

    def create_or_update(self, run: Run, **options: Any) -> Run:
        """Run what is described, to its end; with `stream=True` tell how it went.

        Raises:
            InputError: Something is wrong with what is asked for; nothing was started.
        """
        from genaiops.compat._submit import submit_run
        from genaiops.compat._surroundings import open_settings, open_store

        settings = open_settings(run.flow)
        finished = Run.of(submit_run(run, settings, open_store(settings, run.flow)))
        return self.stream(finished) if options.get("stream") else finished

    def get(self, name: str | Run) -> Run:
        """The run of this name.

        Raises:
            RunNotFoundError: There is none.
        """
        return Run.of(self._record(name))

    def list(self, max_results: int = 50, **options: Any) -> list[Run]:
        """Runs, the latest first.

        Args:
            max_results: At most so many.
            options: `list_view_type`: `ActiveOnly` (default), `ArchivedOnly` or `All`.
        """
        from genaiops.compat._surroundings import open_settings
        from genaiops.runs import list_runs

        view = str(getattr(options.get("list_view_type"), "value", options.get("list_view_type") or "ActiveOnly"))
        wanted = {"ActiveOnly": (False,), "ArchivedOnly": (True,)}.get(view, (False, True))
        records = [record for record in list_runs(open_settings()) if is_archived(record) in wanted]
        return [Run.of(record) for record in records[:max_results]]

    def stream(self, name: str | Run, raise_on_error: bool = True) -> Run:
        """Write the run's log and a summary to standard output.

        Raises:
            InvalidRunStatusError: The run failed or was canceled, and `raise_on_error`.
        """
        run = self.get(name)
        assert run.record is not None
        logs = run.record.path / "logs.txt"
        if logs.is_file():
            sys.stdout.write(logs.read_text(encoding="utf-8", errors="replace"))
        sys.stdout.write(summary(run))
        if raise_on_error and run.status in (RunStatus.FAILED, RunStatus.CANCELED):
            error = run_error(run.record, with_details=False) or {}
            raise InvalidRunStatusError(f"Run {run.name} failed with status {run.status}: {error.get('message', '')}")
        return run

    def archive(self, name: str | Run) -> Run:
        """Leave the run out of lists."""
        return Run.of(relabel(self._record(name), archived=True))

    def restore(self, name: str | Run) -> Run:
        """Show the run in lists again."""
        return Run.of(relabel(self._record(name), archived=False))

    def update(
        self,
        name: str | Run,
        display_name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        **_: Any,
    ) -> Run:
        """Give the run another display name, description or more tags."""
        run = self.get(name)
        assert run.record is not None
        changes: dict[str, Any] = {"display_name": display_name, "description": description}
        if tags is not None:
            changes["tags"] = {**(run.tags or {}), **tags}
        return Run.of(relabel(run.record, **{key: value for key, value in changes.items() if value is not None}))

    def delete(self, name: str | Run) -> None:
        """Delete the run's folder."""
        record = self._record(name)
        if record.is_running():
            raise InvalidRunStatusError(f"Run {record.id} is running and cannot be deleted.")
        output = Run.of(record)._output_path
        shutil.rmtree(record.path)
        if output is not None and output.name == record.id and output.is_dir():
            shutil.rmtree(output)

    def get_details(self, name: str | Run, max_results: int = MAX_SHOWN, all_results: bool = False) -> Any:
        """Inputs and outputs of the rows as a pandas DataFrame, `(Failed)` for outputs of failed rows.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-untyped,unused-ignore]
        except ImportError as error:
            raise MissingExtraError("pandas", extra="notebook", purpose="for tables of runs") from error
        rows = detail_rows(self._record(name), limit=None if all_results else max_results)
        return pandas.DataFrame(rows).set_index("inputs.line_number", drop=False).rename_axis(None)

    def get_metrics(self, name: str | Run) -> dict[str, Any]:
        """What aggregation logged."""
        return dict(self._record(name).metrics)

    def visualize(self, runs: str | Run | Sequence[str | Run], html_path: str | Path | None = None, **_: Any) -> Path:
        """Write an HTML page of details and metrics, and give its path."""
        from genaiops.compat._visualize import runs_page

        chosen = [runs] if isinstance(runs, (str, Run)) else list(runs)
        records = [self._record(run) for run in chosen]
        path = Path(html_path) if html_path else Path(tempfile.mkdtemp(prefix="genaiops-")) / "runs.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(runs_page(records), encoding="utf-8")
        return path

    def _record(self, name: str | Run) -> RunRecord:
        from genaiops.compat._surroundings import open_settings
        from genaiops.runs import RunRecord, find_run

        if isinstance(name, Run):
            if name.record is not None:
                return RunRecord.load(name.record.path)
            name = name.name or ""
        try:
            record = find_run(name, open_settings())
        except DataError as error:
            raise RunNotFoundError(f"Run name {name!r} cannot be found. {error.hint or ''}".strip()) from error
        if name not in (record.id, str(record.path)):
            # The beginning of a name is enough for `genaiops runs`, not for scripts that delete.
            raise RunNotFoundError(f"Run name {name!r} cannot be found. Did you mean {record.id!r}?")
        return record


def summary(run: Run) -> str:
    """How a run went, in a few lines."""
    record = run.record
    assert record is not None
    lines = [
        "======= Run Summary =======",
        "",
        f'Run name: "{run.name}"',
        f'Run status: "{run.status}"',
        f'Start time: "{record.created}"',
        f'Duration: "{record.duration_s:g} s"',
        f"Rows: {record.rows.completed} completed, {record.rows.failed} failed",
        f'Output path: "{run._output_path}"',
        "",
    ]
    return "\n".join(lines) + "\n"
