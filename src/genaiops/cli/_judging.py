"""What follows an experiment: the gate's verdict and the reports, both made from its files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.errors import DataError, GenaiopsError, SettingsError

if TYPE_CHECKING:
    from genaiops.experiments import ExperimentResult, ExperimentSpec, Place, Prepared
    from genaiops.gates import Policy, Verdict
    from genaiops.settings import Settings

CHAMPION = "champion"


def policy_of(spec: ExperimentSpec) -> Policy | None:
    """The gate of a use case, checked; None when it has none.

    Raises:
        SettingsError: The block cannot be used, with its line.
    """
    if spec.gate is None:
        return None
    from genaiops.gates import read_policy

    place = spec.place("gate")
    return read_policy(spec.gate, file=place.file, line_of=line_finder(place))


def line_finder(place: Place) -> Callable[..., int | None]:
    """From keys inside a block to the line where they stand, for messages about that block."""

    def line_of(*keys: str) -> int | None:
        return place.line if not keys else _line_below(place.file, place.line, keys)

    return line_of


def policy_of_result(result: ExperimentResult, settings: Settings) -> Policy | None:
    """The gate as the use case has it now, else as it was when the experiment ran."""
    from genaiops.experiments import examine_experiment
    from genaiops.gates import read_policy

    file, env = result.data.get("file"), result.data.get("env")
    if file and Path(file).is_file():
        spec = examine_experiment(Path(file), settings, env=env).spec
        if spec is not None:
            return policy_of(spec)
    gate = result.data.get("gate")
    return read_policy(gate, file=result.path) if isinstance(gate, dict) else None


def judge_and_record(
    result: ExperimentResult,
    policy: Policy | None,
    settings: Settings,
    *,
    baseline: str | None = None,
    force: bool = False,
) -> Verdict:
    """Judge an experiment and write the verdict beside it.

    Args:
        result: The experiment.
        policy: The gate; without one nothing is judged.
        settings: Where other experiments and the registry are.
        baseline: Another experiment to compare with: its id, `champion`, or a git reference.
        force: Compare although data or evaluators differ.

    Raises:
        DataError: The baseline that was named does not exist.
    """
    from genaiops.gates import judge, judge_experiment, load_totals, record_verdict

    wanted = baseline or (policy.baseline or _own_baseline(result) if policy is not None else None)
    folder = find_baseline(wanted, result, settings, named=baseline is not None) if wanted else None
    if policy is None:
        verdict = judge(load_totals(result.path), None)
    else:
        verdict = judge_experiment(result.path, policy, baseline=folder, force=force)
    record_verdict(result.path, verdict)
    return verdict


def _own_baseline(result: ExperimentResult) -> str | None:
    """What the use case names as `baseline`; variants of it are compared inside the experiment."""
    named = result.data.get("baseline")
    variants = {variant for run in result.runs for variant in (run.get("variant") or {}).values()}
    return named if isinstance(named, str) and named not in variants else None


def find_baseline(
    name: str, result: ExperimentResult, settings: Settings, *, named: bool, experiment: str | None = None
) -> Path | None:
    """The folder of the experiment that a name stands for.

    Args:
        name: `champion`, an experiment's id, or a git reference.
        result: The experiment that is judged; never its own baseline.
        settings: Where to look.
        named: Somebody asked for it outright, so it must exist; a use case's first run has no champion yet.
        experiment: Whose champion counts; the judged experiment's own by default.

    Raises:
        DataError: It was asked for and does not exist.
    """
    from genaiops.experiments import find_experiment

    experiment = experiment or str(result.data.get("experiment"))
    if name in ("default", "defaults") or any(run.get("variant_label") == name for run in result.runs):
        return None  # a variant of the same experiment
    try:
        if name == CHAMPION:
            return _champion(experiment, settings)
        return find_experiment(name, settings).path
    except GenaiopsError as error:
        found = _by_git(name, result, settings)
        if found is None and named:
            raise DataError(
                f"There is no experiment {name!r} to compare with.",
                hint="Make one with: genaiops gate RUN --promote"
                if name == CHAMPION
                else error.hint or "List them with: genaiops runs list",
                kind="BaselineNotFound",
            ) from error
        return found


def require_baseline(name: str, prepared: Prepared, settings: Settings) -> None:
    """Refuse a baseline that does not exist before anything is paid for.

    Raises:
        DataError: There is no such experiment.
    """
    from genaiops.experiments import ExperimentResult

    runs = [{"variant_label": cell.label} for cell in prepared.plan.cells]
    planned = {"id": prepared.id, "experiment": prepared.spec.name, "runs": runs}
    find_baseline(name, ExperimentResult(path=prepared.spec.folder, data=planned), settings, named=True)


def _champion(experiment: str, settings: Settings) -> Path:
    from genaiops.experiments import find_experiment
    from genaiops.registry import FileRegistry

    version = FileRegistry(settings.state / "registry").get("experiment", experiment, CHAMPION)
    return find_experiment(str(version.tags.get("id")), settings).path


def _by_git(reference: str, result: ExperimentResult, settings: Settings) -> Path | None:
    """The latest other experiment of this name at the commit that a reference names."""
    import subprocess

    from genaiops.experiments import newest_experiments

    words = ["git", "-C", str(settings.project), "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    commit = done.stdout.strip()
    for other in newest_experiments(settings) if commit else ():
        facts = other.data.get("git") or {}
        same = other.data.get("experiment") == result.data.get("experiment") and facts.get("commit") == commit
        if same and other.id != result.id and not facts.get("dirty"):
            return other.path
    return None


def make_champion(result: ExperimentResult, settings: Settings) -> None:
    """Register an experiment and let `champion` name it."""
    from genaiops.registry import FileRegistry, tree_digest

    registry = FileRegistry(settings.state / "registry")
    name = str(result.data.get("experiment"))
    tags = {"id": result.id, "git": (result.data.get("git") or {}).get("commit"), "env": result.data.get("env")}
    digest = tree_digest(result.path / "experiment.json")
    version = registry.register("experiment", name, digest, source=str(result.path), tags=tags)
    registry.set_alias("experiment", name, CHAMPION, version.version)


def draw_reports(result: ExperimentResult, report_dir: Path, formats: Sequence[str]) -> list[Path]:
    """Write the reports and note their places in the experiment's record.

    Raises:
        InputError: A format is not known.
    """
    from genaiops.experiments import load_result, write_experiment
    from genaiops.reports import FORMATS, write_reports

    written = write_reports(result.path, report_dir, formats or FORMATS)
    data = dict(load_result(result.path).data)
    write_experiment(result.path, {**data, "reports": [str(path.resolve()) for path in written]})
    return written


def formats_of(words: str | None, report: Mapping[str, Any] | None) -> list[str]:
    """Formats from `--report a,b`, else from the block `report`; none stands for all."""
    if words is not None:
        return [word.strip() for word in words.split(",") if word.strip()]
    found = (report or {}).get("formats")
    if found is None:
        return []
    if isinstance(found, str):
        return [found]
    if not isinstance(found, list):
        raise SettingsError("report.formats must be a list of formats.")
    return [str(word) for word in found]


def _line_below(file: Path, start: int | None, keys: Sequence[str]) -> int | None:
    """The line of a key inside a block: the keys in turn, below where the block begins."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError:
        return start
    number = start or 1
    for key in keys:
        spellings = (f"{key}:", f'"{key}":', json.dumps(key) + " :")
        found = next(
            (n for n in range(number, len(lines)) if any(spelling in lines[n] for spelling in spellings)), None
        )
        if found is None:
            return number
        number = found + 1
    return number
