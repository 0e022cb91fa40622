"""Which state of the repository an experiment ran with."""

from __future__ import annotations

import subprocess
from pathlib import Path

_TIMEOUT_S = 5.0


def git_facts(project: Path) -> dict[str, str | bool | None]:
    """Commit, branch, and whether files were changed; all `None` outside of a repository or without git."""
    commit = _git(project, "rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "branch": None, "dirty": None}
    status = _git(project, "status", "--porcelain", "--untracked-files=no")
    return {
        "commit": commit,
        "branch": _git(project, "rev-parse", "--abbrev-ref", "HEAD"),
        "dirty": bool(status) if status is not None else None,
    }


def _git(project: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(project), *words], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
