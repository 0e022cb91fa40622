"""What the words of `genaiops build` and the files of a use case say is to be built."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genaiops.cli._flow_options import chosen_variants, mapping_or_file
from genaiops.cli._output import assignments
from genaiops.cli._surroundings import open_store, use_case_file
from genaiops.records import record

if TYPE_CHECKING:
    from genaiops.experiments import ExperimentSpec
    from genaiops.packaging import BuildSpec
    from genaiops.settings import Settings

# Source: OCI distribution specification 1.1, `<reference>` as a tag.
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@record(frozen=True, kw_only=True)
class BuildWords:
    """Words of the command line, as they were written."""

    env_name: str | None
    base: str | None
    tag: str
    labels: Sequence[str]
    variant: Sequence[str]
    init: Sequence[str]


def build_spec(source: Path, words: BuildWords, settings: Settings, *, harmless: Sequence[str] = ()) -> BuildSpec:
    """What to build.

    Nothing in it depends on variables that are set here: `${NAME}` stays in it, and is read where the image runs.

    Raises:
        GenaiopsError: A word, the use case or its flow cannot be used.
    """
    from genaiops.flows import load_flow
    from genaiops.packaging import THIS_PYTHON, BuildSpec

    if not _TAG.fullmatch(words.tag):
        raise click.UsageError(f"Expected --tag of letters, digits, '.', '_' and '-', found {words.tag!r}.")
    folder = source if source.is_dir() else source.parent
    env_name = words.env_name or settings.environ.get("ENV_NAME")
    nothing_set = dataclasses.replace(settings, environ={}, sources={})
    experiment = _read_use_case(folder, env_name, nothing_set) if use_case_file(folder) else None
    flow = load_flow(experiment.flow if experiment else source, variant=chosen_variants(words.variant))
    declared = open_store(nothing_set, folder)
    given = mapping_or_file(words.init, option="--init")
    sample = folder / "sample-request.json"
    return BuildSpec(
        flow=flow,
        name=experiment.name if experiment else flow.name,
        tag=words.tag,
        base=words.base or settings.environ.get("GENAIOPS_BASE_IMAGE") or THIS_PYTHON,
        init={**(experiment.init if experiment else {}), **given},
        variables=_texts(experiment.environment_variables) if experiment else {},
        connection_variables={name: sorted(declared.as_variables(name)) for name in declared.names()},
        sample_request=sample if sample.is_file() else None,
        labels=assignments(words.labels, option="--label"),
        secrets=open_store(settings, folder).secrets(),
        harmless=harmless,
        environ=settings.environ,
    )


def _read_use_case(folder: Path, env_name: str | None, nothing_set: Settings) -> ExperimentSpec:
    """The use case as its files say, whatever is set here."""
    from genaiops.errors import SettingsError
    from genaiops.experiments import examine_experiment

    examined = examine_experiment(folder, nothing_set, env=env_name)
    errors = [item for item in examined.findings if item.severity == "error" and item.code != "MissingVariables"]
    if errors or examined.spec is None:
        first = errors[0]
        raise SettingsError(first.message, file=first.file, line=first.line, hint=first.hint, kind=first.code)
    return examined.spec


def _texts(variables: Any) -> dict[str, str]:
    return {name: str(value) for name, value in variables.items()}
