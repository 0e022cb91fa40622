"""What somebody asks of an experiment beside the use case: one frozen record from the first door to the last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, replace
from pathlib import Path
from typing import Any, Literal

from genaiops.experiments._plan import PlanRequest
from genaiops.records import record

DEFAULT_FAILED_SHARE = 0.05
"""Failed rows that are tolerated when nobody says: a run with more of them measures something else."""


@record(frozen=True, kw_only=True)
class ExperimentRequest:
    """A use case, and how it is to be run.

    Args:
        use_case: Its folder, or an experiment file.
        env: Name of the environment.
        file: Another experiment file than `experiment.yaml`.
        plan: What to vary.
        build_id: The build that asks; stored with every run.
        limit: Use at most so many rows of each dataset.
        repeats: Run every row so often; by default what the use case says.
        model_calls: Call models, record what they say, or replay a recording; by default what the use case says.
        recording: The file of the recording; by default the one the use case names.
        keep: Keep node results and use kept ones.
        concurrency: Rows in flight in each run.
        processes: Hosts that share the rows of a run.
        row_timeout_s: A row fails after so many seconds.
        max_failed: The share of failed rows that is still a success, a fraction.
        budget_usd: Stop cleanly after so many dollars.
        max_calls: Stop cleanly after so many model calls.
        evaluate: Score the runs too.
        environment: As `RunSpec.environment`.
        imports: As `RunSpec.imports`.
        seed: Of samples.
    """

    use_case: Path
    env: str | None = None
    file: str | None = None
    plan: PlanRequest = field(default_factory=PlanRequest)
    build_id: str | None = None
    limit: int | None = None
    repeats: int | None = None
    model_calls: Literal["live", "record", "replay"] | None = None
    recording: Path | None = None
    keep: bool = True
    concurrency: int | None = None
    processes: int = 1
    row_timeout_s: float | None = 600.0
    max_failed: float = DEFAULT_FAILED_SHARE
    budget_usd: float | None = None
    max_calls: int | None = None
    evaluate: bool = True
    environment: str | Path = "auto"
    imports: str = "auto"

    def to_json(self) -> dict[str, Any]:
        """All that `--resume` needs."""
        return {
            "use_case": str(self.use_case.resolve()),
            "env": self.env,
            "file": self.file,
            "variants": list(self.plan.variants)
            if isinstance(self.plan.variants, (list, tuple))
            else self.plan.variants,
            "plan": self.plan.plan,
            "sets": list(self.plan.sets),
            "seed": self.plan.seed,
            "search": self.plan.search,
            "objectives": list(self.plan.objectives),
            "build_id": self.build_id,
            "limit": self.limit,
            "repeats": self.repeats,
            "model_calls": self.model_calls,
            "recording": str(self.recording.resolve()) if self.recording else None,
            "keep": self.keep,
            "concurrency": self.concurrency,
            "processes": self.processes,
            "row_timeout_s": self.row_timeout_s,
            "max_failed": self.max_failed,
            "budget_usd": self.budget_usd,
            "max_calls": self.max_calls,
            "evaluate": self.evaluate,
            "environment": str(self.environment),
            "imports": self.imports,
        }

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> ExperimentRequest:
        """The request that `to_json` wrote."""
        known = dict(form)
        words = {key: known.pop(key, None) for key in ("variants", "plan", "sets", "seed", "search", "objectives")}
        words["sets"] = tuple(words["sets"] or ())
        words["objectives"] = tuple(words["objectives"] or ())
        request = cls(**known, plan=PlanRequest(**words))
        recording = Path(request.recording) if request.recording else None
        return replace(request, use_case=Path(request.use_case), recording=recording)


@record(frozen=True, kw_only=True)
class ExperimentEvent:
    """Something happened.

    Args:
        kind: `planned` (the plan and the estimate are known), `progress`, `run` and `evaluation` (one has ended),
            `warning`, `comparing`, `finished`.
        done: Rows finished so far, of runs and evaluations together.
        total: Rows of all of them.
        failed: Rows of the application that failed.
        model_calls: Model calls so far.
        cost_usd: Dollars so far.
        name: The run or evaluation concerned.
        message: What to tell a person.
    """

    kind: Literal["planned", "progress", "run", "evaluation", "warning", "comparing", "finished"]
    done: int = 0
    total: int = 0
    failed: int = 0
    model_calls: int = 0
    cost_usd: float | None = None
    name: str = ""
    message: str = ""


OnExperimentEvent = Callable[[ExperimentEvent], None]


def ignore_experiment_event(event: ExperimentEvent) -> None:
    """For callers that do not want to know."""
