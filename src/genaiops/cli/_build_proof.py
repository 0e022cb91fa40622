"""The proof of `genaiops build`: the image is started, and `endpoint test` looks at its answer."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.cli._output import note
from genaiops.cli._surroundings import UseCaseFacts, open_store, require_values, use_case_facts
from genaiops.records import record

if TYPE_CHECKING:
    from genaiops.packaging import BuildSpec, BuiltImage, Engine, RunningImage
    from genaiops.settings import Settings

_RECORDING = "/recording.jsonl"


@record(frozen=True)
class Proof:
    """Whether an image was seen to answer.

    Args:
        passed: It was; false when nothing could be tried.
        text: What was seen, or why nothing was tried.
        engine: `docker` or `podman`, which holds the image now.
        image: Its name there.
    """

    passed: bool
    text: str
    engine: str | None = None
    image: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"tested": self.passed, "test": self.text, "engine": self.engine, "engine_image": self.image}


@record(frozen=True, kw_only=True)
class ProofPlan:
    """How an image will be tested.

    Args:
        engine: Who starts it, called with all that the container is given.
        variables: Names of what the container is given.
        calls: `live` or `replay`.
        facts: What the use case says.
        folder: The use case's or the flow's.
        network: The engine's network.
    """

    engine: Engine
    variables: tuple[str, ...]
    calls: str
    facts: UseCaseFacts
    folder: Path
    network: str | None


def plan_proof(
    source: Path,
    spec: BuildSpec,
    settings: Settings,
    *,
    wanted: bool | None = None,
    model_calls: str | None = None,
    network: str | None = None,
) -> ProofPlan | Proof:
    """Whether the image can be tested here, and how; asked before anything is built.

    Args:
        source: The use case or flow, for its recording and its assertions.
        spec: What will be built.
        settings: Where the values of connections and variables come from.
        wanted: True must, False must not; None tests where there is a container engine.
        model_calls: `live` or `replay`; by default as the use case says.
        network: The engine's network.

    Returns:
        The plan; or a proof that says why nothing is tried.

    Raises:
        GenaiopsError: It must be tested and cannot be: no engine, or values that are not set here; all are named.
    """
    from genaiops.packaging import find_engine

    if wanted is False:
        return Proof(False, "not tested: --no-test")
    if find_engine(settings.environ) is None:
        return _without_engine(must=wanted is True)
    folder = source if source.is_dir() else source.parent
    facts = use_case_facts(folder)
    calls = model_calls or ("replay" if facts.model_calls == "replay" else "live")
    given = _values_for_container(spec, settings, folder, calls, has_recording=facts.recording is not None)
    engine = find_engine({**settings.environ, **given})
    assert engine is not None
    return ProofPlan(
        engine=engine, variables=tuple(given), calls=calls, facts=facts, folder=folder, network=network
    )  # fmt: skip


def _without_engine(*, must: bool) -> Proof:
    from genaiops.errors import SettingsError

    if must:
        raise SettingsError(
            "The image cannot be tested: no container engine (docker or podman) answers here.",
            hint="Start one, or build without --test and test the image where it runs: genaiops endpoint test URL",
            kind="NoContainerEngine",
        )
    return Proof(False, "not tested: no container engine (docker or podman) answers here")


def _values_for_container(
    spec: BuildSpec, settings: Settings, folder: Path, calls: str, *, has_recording: bool
) -> dict[str, str]:
    """The variables that the container is given.

    Raises:
        ConnectionSettingsError: What it needs is not set here.
    """
    from genaiops.packaging import describe_build, fill_open_values

    package = describe_build(spec)
    store = open_store(settings, folder)
    unset = fill_open_values(package.to_json(), settings.environ)[2]
    missing = store.missing(package.connections) if calls == "live" else []
    replay = ", --model-calls replay answers from its recording" if has_recording else ""
    require_values(
        "The image is not built, for it could not be tested",
        missing,
        unset,
        hint=f"Set them in the environment or in .env{replay}; --no-test builds an image that nobody has seen answer.",
    )
    given = {name: settings.environ[name] for name in package.variables if name in settings.environ}
    for name in package.connections if calls == "live" else ():
        given |= store.as_variables(name)
    return given


def prove_image(built: BuiltImage, spec: BuildSpec, plan: ProofPlan) -> Proof:
    """Start the image, and ask it the sample request.

    Args:
        built: The image.
        spec: What was built.
        plan: How it is tested.

    Raises:
        GenaiopsError: The image does not start, or does not answer as it should.
    """
    from genaiops.packaging import image_name
    from genaiops.serving import EndpointFailed

    name = image_name(spec.name, spec.tag)
    engine = plan.engine
    recorded = plan.calls == "replay"
    note(f"  test      with {engine.name}{', answers from the recording' if recorded else ''}")
    with _replay_arguments(plan.facts, plan.calls) as (arguments, mounts), engine.loaded(built, name) as draft:
        started = engine.started(
            draft, variables=plan.variables, arguments=arguments, mounts=mounts, network=plan.network
        )  # fmt: skip
        with started as running:
            seen = _ask(running, plan.folder, spec) if spec.sample_request is not None else ""
            if not running.is_healthy(built.health_check):
                raise EndpointFailed(f"The image runs, and its HEALTHCHECK says it does not.\n{running.last_words()}")
    if not seen:
        text = f"not tested: {engine.name} started it, it is ready and healthy; no sample-request.json says what to ask"
        return Proof(False, text, engine.name, name)
    return Proof(True, f"{seen}{', from the recording' if recorded else ''}", engine.name, name)


def _ask(running: RunningImage, folder: Path, spec: BuildSpec) -> str:
    """Send the sample request; what was good about the answer."""
    from genaiops.cli._endpoint import expectation_of
    from genaiops.serving import EndpointFailed, check_endpoint

    assert spec.sample_request is not None
    outputs = tuple(name for name, output in spec.flow.outputs.items() if not output.evaluation_only)
    expectation = expectation_of(
        folder, sample=spec.sample_request, outputs=outputs if spec.flow.kind == "graph" else ()
    )  # fmt: skip
    report = check_endpoint(running.address, expectation)
    if not report.passed or not running.is_running():
        failed = [f"{check.name}: {check.found}" for check in report.checks if not check.passed]
        reasons = "; ".join(failed) or "its container has ended and something else answered"
        raise EndpointFailed(f"The image does not answer as it should: {reasons}.\n{running.last_words()}")
    good = [*(check.name for check in report.checks), "health check"]
    return f"{running.engine.name} ran it with a read-only root; good: {', '.join(good)}"


@contextlib.contextmanager
def _replay_arguments(facts: UseCaseFacts, calls: str) -> Iterator[tuple[list[str], dict[Path, str]]]:
    """Words for a server that answers from the use case's recording, and the file to mount for it."""
    if calls != "replay" or facts.recording is None:
        yield [], {}
        return
    with tempfile.TemporaryDirectory(prefix="genaiops-recording-") as scratch:
        # A copy, because the user of the image must be able to read it.
        copy = Path(scratch) / "recording.jsonl"
        shutil.copyfile(facts.recording, copy)
        copy.chmod(0o644)
        Path(scratch).chmod(0o755)
        yield ["--model-calls", "replay", "--recording", _RECORDING], {copy: _RECORDING}
