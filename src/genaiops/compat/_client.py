"""`PFClient`: runs, tests and results from Python, over this project's runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.compat._runs import Run

if TYPE_CHECKING:
    from genaiops.compat._client_connections import ConnectionOperations
    from genaiops.compat._client_flows import FlowOperations
    from genaiops.compat._client_runs import RunOperations


class PFClient:
    """Runs flows over data and reads what came of it.

    ```python
    pf = PFClient()
    run = pf.run(flow="web_classification", data="data.jsonl", column_mapping={"url": "${data.url}"})
    pf.get_details(run).head()
    ```
    """

    def __init__(self, **_: Any) -> None:
        self._runs: RunOperations | None = None
        self._flows: FlowOperations | None = None
        self._connections: ConnectionOperations | None = None

    @property
    def runs(self) -> RunOperations:
        """Runs by name."""
        if self._runs is None:
            from genaiops.compat._client_runs import RunOperations

            self._runs = RunOperations()
        return self._runs

    @property
    def flows(self) -> FlowOperations:
        """Test, validate, build and save flows."""
        if self._flows is None:
            from genaiops.compat._client_flows import FlowOperations

            self._flows = FlowOperations()
        return self._flows

    @property
    def connections(self) -> ConnectionOperations:
        """Connections of this project."""
        if self._connections is None:
            from genaiops.compat._client_connections import ConnectionOperations

            self._connections = ConnectionOperations()
        return self._connections

    def run(
        self,
        flow: Any = None,
        *,
        data: str | Path | None = None,
        run: Run | str | None = None,
        column_mapping: Mapping[str, Any] | None = None,
        variant: str | None = None,
        connections: Mapping[str, Any] | None = None,
        environment_variables: Any = None,
        name: str | None = None,
        display_name: str | None = None,
        tags: Mapping[str, Any] | None = None,
        resume_from: Run | str | None = None,
        init: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Run:
        """Run a flow over data, to its end.

        Args:
            flow: A path, `module:name`, a function, a class, or an object of one.
            data: The dataset.
            run: An earlier run whose inputs and outputs the mapping may use.
            column_mapping: Flow input to `${data.column}`, `${run.outputs.name}` or a literal.
            variant: `${node.variant}`.
            connections: Node to `{"connection": …, "deployment_name": …}`.
            environment_variables: For the flow's process: a mapping or a `.env` file.
            name: The run's name.
            display_name: Shown in lists.
            tags: Kept with the run.
            resume_from: Run what this run left, as a new run.
            init: Constructor arguments of a class flow.
            options: `stream=True` tells how it went; `description` is kept with the run.

        Raises:
            InputError: Something is wrong with what is asked for; nothing was started.
            InvalidRunStatusError: With `stream=True`: the run failed.
        """
        asked = Run(
            flow=flow,
            data=data,
            run=run,
            column_mapping=column_mapping,
            variant=variant,
            connections=connections,
            environment_variables=environment_variables,
            name=name,
            display_name=display_name,
            description=options.get("description"),
            tags=tags,
            resume_from=resume_from,
            init=init,
        )
        return self.runs.create_or_update(asked, stream=bool(options.get("stream")))

    def test(
        self,
        flow: Any,
        *,
        inputs: Mapping[str, Any] | str | Path | None = None,
        variant: str | None = None,
        node: str | None = None,
        environment_variables: Any = None,
        init: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> Any:
        """The outputs of one row, or of one node. See `flows.test`."""
        return self.flows.test(
            flow, inputs=inputs, variant=variant, node=node, environment_variables=environment_variables, init=init
        )

    def stream(self, run: Run | str, raise_on_error: bool = True) -> Run:
        """Tell how a run went. See `runs.stream`."""
        return self.runs.stream(run, raise_on_error=raise_on_error)

    def get_details(self, run: Run | str, max_results: int = 100, all_results: bool = False) -> Any:
        """Inputs and outputs of a run's rows as a pandas DataFrame. See `runs.get_details`."""
        return self.runs.get_details(run, max_results=max_results, all_results=all_results)

    def get_metrics(self, run: Run | str) -> dict[str, Any]:
        """What aggregation logged."""
        return self.runs.get_metrics(run)

    def visualize(self, runs: Run | str | Sequence[Run | str], html_path: str | Path | None = None, **_: Any) -> Path:
        """Write an HTML page of one or several runs, and give its path."""
        return self.runs.visualize(runs, html_path=html_path)
