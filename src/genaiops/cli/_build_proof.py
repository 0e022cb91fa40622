"""The proof of `genaiops build`: the image is started, and `endpoint test` looks at its answer."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.cli._output import note
from genaiops.cli._surroundings import UseCaseFacts, open_store, use_case_facts

if TYPE_CHECKING:
    from genaiops.packaging import BuildSpec, BuiltImage, RunningImage
    from genaiops.settings import Settings

_RECORDING = "/recording.jsonl"


@dataclass(frozen=True)
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


def prove_image(
    built: BuiltImage,
    source: Path,
    spec: BuildSpec,
    settings: Settings,
    *,
    model_calls: str | None = None,
    network: str | None = None,
) -> Proof:
    """Start the image where a container engine is, and ask it the sample request.

    Args:
        built: The image.
        source: The use case or flow, for its recording and its assertions.
        spec: What was built.
        settings: Where the values of connections and variables come from.
        model_calls: `live` or `replay`; by default as the use case says.
        network: The engine's network.

    Raises:
        GenaiopsError: The image does not start, or does not answer as it should.
    """
    from genaiops.packaging import fill_open_values, find_engine, image_name

    folder = source if source.is_dir() else source.parent
    if find_engine(settings.environ) is None:
        return Proof(False, "not tested: no container engine (docker or podman) answers here")
    facts = use_case_facts(folder)
    calls = model_calls or ("replay" if facts.model_calls == "replay" else "live")
    store = open_store(settings, folder)
    package = built.package
    missing = [] if calls == "replay" else [str(item) for item in store.missing(package.connections)]
    missing += fill_open_values(package.to_json(), settings.environ)[2]
    if missing:
        return Proof(False, f"not tested: not set here: {', '.join(missing)}")
    given = {name: settings.environ[name] for name in package.variables if name in settings.environ}
    for name in package.connections if calls == "live" else ():
        given |= store.as_variables(name)
    engine = find_engine({**settings.environ, **given})
    assert engine is not None
    name = image_name(spec.name, spec.tag)
    note(f"  test      with {engine.name}{', answers from the recording' if calls == 'replay' else ''}")
    with _replay_arguments(facts, calls) as (arguments, mounts), engine.loaded(built, name) as draft:
        started = engine.started(
            draft, variables=list(given), arguments=arguments, mounts=mounts, network=network
        )  # fmt: skip
        with started as running:
            seen = _ask(running, built, folder, spec)
    return Proof(True, f"{seen}{', from the recording' if calls == 'replay' else ''}", engine.name, name)


def _ask(running: RunningImage, built: BuiltImage, folder: Path, spec: BuildSpec) -> str:
    from genaiops.cli._endpoint import expectation_of
    from genaiops.serving import EndpointFailed, check_endpoint

    if spec.sample_request is None:
        return f"{running.engine.name} started it, and it is ready; no sample-request.json says what to ask it"
    outputs = tuple(name for name, output in spec.flow.outputs.items() if not output.evaluation_only)
    expectation = expectation_of(
        folder, sample=spec.sample_request, outputs=outputs if spec.flow.kind == "graph" else ()
    )  # fmt: skip
    report = check_endpoint(running.address, expectation)
    if not report.passed or not running.is_running():
        failed = [f"{check.name}: {check.found}" for check in report.checks if not check.passed]
        reasons = "; ".join(failed) or "its container has ended and something else answered"
        raise EndpointFailed(f"The image does not answer as it should: {reasons}.\n{running.last_words()}")
    if not running.is_healthy(built.health_check):
        raise EndpointFailed(f"The image answers, and its HEALTHCHECK says it does not.\n{running.last_words()}")
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
