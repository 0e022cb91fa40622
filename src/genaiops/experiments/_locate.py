"""Which files describe a use case in an environment: base, overlay, or the older family."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from genaiops.errors import SettingsError
from genaiops.experiments._problems import Problems
from genaiops.experiments._spec import Place

DEFAULT_NAMES = ("experiment.yaml", "experiment.yml")
LEGACY_NAME = "llmops_config.json"


def locate(use_case: Path, file: str | None) -> tuple[Path, Path]:
    """The folder of a use case and its base file.

    Args:
        use_case: The folder, or an experiment file itself.
        file: Another experiment file, relative to the folder or absolute.

    Raises:
        SettingsError: There is no such folder or file.
    """
    if use_case.is_file():
        return use_case.resolve().parent, use_case.resolve()
    if not use_case.is_dir():
        raise SettingsError(
            f"There is no use case {str(use_case)!r}.",
            file=use_case,
            hint=_nearest_use_case(use_case) or "Name the folder that holds experiment.yaml.",
        )
    folder = use_case.resolve()
    names = (file,) if file else (*DEFAULT_NAMES, LEGACY_NAME)
    for name in names:
        if (folder / name).is_file():
            return folder, folder / name
    missing = folder / names[0]
    others = sorted(path.name for path in folder.glob("experiment*.y*ml"))
    below = sorted(path.parent.name for name in DEFAULT_NAMES for path in folder.glob(f"*/{name}"))
    hint = (
        f"This folder has: {', '.join(others)}; choose one with --file."
        if others
        else f"Use cases below this folder: {', '.join(below)}. Name one of them."
        if below
        else "Name the folder of a use case: it holds an experiment.yaml."
    )
    raise SettingsError(f"There is no file {str(missing)!r}.", file=missing, hint=hint, kind="ExperimentNotFound")


def _nearest_use_case(use_case: Path) -> str | None:
    parent = use_case.absolute().parent
    folders = [path.name for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
    use_cases = [name for name in folders if any((parent / name / file).is_file() for file in DEFAULT_NAMES)]
    near = get_close_matches(use_case.name, use_cases, n=1)
    return f"Did you mean {str(use_case.with_name(near[0]))!r}?" if near else None


def find_overlay(base: Path, env: str | None, problems: Problems) -> Path | None:
    """`experiment.<env>.yaml` beside the base file, in either spelling; a near miss is a warning."""
    if not env:
        return None
    for suffix in dict.fromkeys((base.suffix, ".yaml", ".yml")):
        path = base.with_name(f"{base.stem}.{env}{suffix}")
        if path.is_file():
            return path
    known = overlay_environments(base)
    # Letters that changed places are the commonest slip, and in short names no near match.
    near = [name for name in known if sorted(name) == sorted(env)] or get_close_matches(env, known, n=1, cutoff=0.7)
    if near:
        problems.warning(
            "unknown-environment",
            f"There is no overlay for the environment {env!r}; the base file alone is used.",
            Place(file=base),
            hint=f"Did you mean {near[0]!r}?",
        )
    return None


def overlay_environments(base: Path) -> list[str]:
    """The environments that have an overlay beside the base file, by name."""
    overlays = [path for path in base.parent.glob(f"{base.stem}.*.*") if path.suffix in (".yaml", ".yml")]
    return sorted({path.stem.removeprefix(f"{base.stem}.") for path in overlays})
