"""Which command lives where, in the order of the life cycle.

`genaiops --help` is drawn from this table alone, so that it imports none of the rooms behind the commands.
"""

from __future__ import annotations

from pathlib import Path

from genaiops.records import record


@record(frozen=True, slots=True)
class CommandEntry:
    """One top-level command.

    Args:
        name: The word on the command line.
        target: `module:attribute` of the click command, imported when it is used.
        stage: The stage of the life cycle it stands under in `--help`.
        summary: One line.
    """

    name: str
    target: str
    stage: str
    summary: str

    @property
    def module(self) -> str:
        """The module that holds the command."""
        return self.target.partition(":")[0]


_ROOM = "genaiops.cli"

_ENTRIES = (
    CommandEntry("init", f"{_ROOM}._scaffold:init", "Start", "Make a repository with CI/CD."),
    CommandEntry("new", f"{_ROOM}._scaffold:new", "Start", "Add a use case that runs at once, offline."),
    CommandEntry("check", f"{_ROOM}._check:check", "Check and migrate", "Find mistakes without calling a model."),
    CommandEntry("schema", f"{_ROOM}._schema:schema", "Check and migrate", "JSON Schemas, for editors and programs."),
    CommandEntry(
        "audit", f"{_ROOM}._audit:audit", "Check and migrate", "What a prompt flow repository needs to run here."
    ),
    CommandEntry("flow", f"{_ROOM}._flow:flow", "Try", "Run, chat with, draw and check one flow."),
    CommandEntry(
        "connection", f"{_ROOM}._connection:connection", "Try", "See which models and services are reachable."
    ),
    CommandEntry("run", f"{_ROOM}._run:run", "Experiment", "Run, evaluate and compare a use case's variants."),
    CommandEntry("evaluate", f"{_ROOM}._evaluate:evaluate", "Experiment", "Score a run that exists."),
    CommandEntry("runs", f"{_ROOM}._runs:runs", "Look", "List, show and compare runs."),
    CommandEntry("ui", f"{_ROOM}._ui:ui", "Look", "Look at runs in a browser."),
    CommandEntry("cache", f"{_ROOM}._cache:cache", "Look", "What is kept of earlier results."),
    CommandEntry("gate", f"{_ROOM}._gate:gate", "Judge and register", "Pass or fail a run, with reasons."),
    CommandEntry("alert", f"{_ROOM}._alert:alert", "Judge and register", "Tell when quality in production has fallen."),
    CommandEntry("approve", f"{_ROOM}._approve:approve", "Judge and register", "Put a person's decision on record."),
    CommandEntry(
        "dataset", f"{_ROOM}._dataset:dataset", "Judge and register", "Register datasets, learn from production."
    ),
    CommandEntry("build", f"{_ROOM}._build:build", "Ship", "Make a small container image."),
    CommandEntry("serve", f"{_ROOM}._serve:serve", "Ship", "Answer requests over HTTP."),
    CommandEntry("endpoint", f"{_ROOM}._endpoint:endpoint", "Ship", "Prove that an endpoint answers."),
    CommandEntry("deploy", f"{_ROOM}._deploy:deploy", "Ship", "Put a use case into an environment."),
    CommandEntry("rollback", f"{_ROOM}._deploy:rollback", "Ship", "Go back to the version before."),
    CommandEntry("ab", f"{_ROOM}._ab:ab", "Ship", "Compare two versions on live traffic."),
    CommandEntry("pf", f"{_ROOM}._pf:pf", "Prompt flow's commands", "The commands that existing CI scripts use."),
)


def commands() -> dict[str, CommandEntry]:
    """The commands this installation has, by name.

    A command whose module is not installed (a runtime image leaves rooms out) is not offered.
    """
    folder = Path(__file__).parent
    return {entry.name: entry for entry in _ENTRIES if (folder / f"{entry.module.rpartition('.')[2]}.py").is_file()}
