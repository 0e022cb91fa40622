"""A host that was forked is, for the code in it, a process that was just started."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from genaiops.nursery import Nursery, current_nursery, open_nursery
from genaiops.runs import RunRecord, RunSpec, run_batches
from genaiops.settings import Settings, load_settings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="hosts are forked on Linux only")

# All that a process can see of how it came to be.
LOOK = """
import gc, os, resource, signal, sys, threading
from promptflow.core import tool

@tool
def work(x: int) -> dict:
    main = sys.modules["__main__"]
    import multiprocessing
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        spawned = pool.apply(abs, (-7,))
    return {
        "modules": sorted(name for name in MODULES if name != "genaiops.host._nursery"),
        "path": sys.path, "argv": sys.argv, "orig_argv": sys.orig_argv, "flags": str(sys.flags),
        "cwd": os.getcwd(), "environ": dict(os.environ), "umask": os.umask(0o022),
        "leads_session": os.getsid(0) == os.getpid(), "leads_group": os.getpgid(0) == os.getpid(),
        "signals": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "descriptors": DESCRIPTORS, "threads": sorted(thread.name for thread in threading.enumerate()),
        "main": [main.__name__, main.__spec__.name, main.__spec__.origin, main.__file__],
        "collector": [gc.isenabled(), gc.get_threshold()],
        "limits": [resource.getrlimit(number) for number in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)],
        "spawned": spawned, "stdin": sys.stdin.read(), "encodings": [sys.stdin.encoding, sys.stdin.errors],
        "stack": threading.stack_size(), "switch": sys.getswitchinterval(),
    }

MODULES = list(sys.modules)
DESCRIPTORS = sorted(
    (int(number), os.readlink(f"/proc/self/fd/{number}").partition(":")[0]) for number in os.listdir("/proc/self/fd")
    if os.path.exists(f"/proc/self/fd/{number}")
)
"""
CHANCE = """
import os, random, secrets, uuid
from promptflow.core import tool

@tool
def work(x: int) -> list:
    return [os.getpid(), os.getppid(), random.random(), secrets.token_hex(), str(uuid.uuid4())]
"""
DIES = """
import os, signal
from promptflow.core import tool

@tool
def work(x: int) -> int:
    if x == 3:
        HOW
    return x
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    environ = {"GENAIOPS_HOME": str(tmp_path / "state"), "PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    return load_settings(cwd=tmp_path, environ=environ)


@pytest.fixture
def nursery(settings: Settings) -> Iterator[Nursery]:
    with open_nursery(settings.environ):
        found = current_nursery()
        assert found is not None
        yield found


def make_flow(folder: Path, code: str) -> Path:
    folder.mkdir()
    (folder / "flow.dag.yaml").write_text(
        "inputs:\n  x: {type: int}\noutputs:\n  y: {type: object, reference: '${work.output}'}\nnodes:\n"
        "- {name: work, type: python, source: {type: code, path: work.py}, inputs: {x: '${inputs.x}'}}\n"
    )
    (folder / "work.py").write_text(code)
    return folder


def make_model_flow(folder: Path, code: str) -> Path:
    """As `make_flow`, with a model node beside it that is never active."""
    flow = make_flow(folder, code)
    with (flow / "flow.dag.yaml").open("a") as file:
        file.write(
            "- name: ask\n  type: llm\n  api: chat\n  connection: nobody\n  source: {type: code, path: ask.jinja2}\n"
            "  inputs: {model: gpt-4o}\n  activate: {when: '${inputs.x}', is: -1}\n"
        )
    (flow / "ask.jinja2").write_text("user:\nSpeak.\n")
    return flow


def run(settings: Settings, *flows: Path, rows: int = 1, **options: Any) -> list[RunRecord]:
    data = settings.state.parent / "rows.jsonl"
    data.write_text("".join(json.dumps({"x": number}) + "\n" for number in range(rows)))
    return run_batches([RunSpec(flow=flow, data=data, **options) for flow in flows], settings)


def outputs(record: RunRecord) -> list[Any]:
    return [outcome["outputs"]["y"] for outcome in record.outcomes()]


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_flow_code_finds_the_process_that_it_would_find_without_a_nursery(tmp_path: Path, settings: Settings) -> None:
    flow = make_flow(tmp_path / "flow", LOOK)
    (alone,) = run(settings, flow)
    with open_nursery(settings.environ):
        (forked,) = run(settings, flow)

    (before,), (after,) = outputs(alone), outputs(forked)
    assert set(after["modules"]) <= set(before["modules"])
    assert {**after, "modules": None} == {**before, "modules": None}


def test_a_host_of_a_flow_with_model_nodes_has_what_it_would_have_imported_anyway(
    tmp_path: Path, settings: Settings
) -> None:
    code = (
        "import os, sys\nfrom promptflow.core import tool\n"
        "@tool\ndef work(x: int) -> list:\n    return [os.getppid(), sorted(sys.modules)]\n"
    )
    flow = make_model_flow(tmp_path / "flow", code)
    settings = load_settings(cwd=tmp_path, environ={**settings.environ, "NOBODY_API_KEY": "none"})
    (alone,) = run(settings, flow)
    with open_nursery(settings.environ):
        nursery = current_nursery()
        assert nursery is not None
        (forked,) = run(settings, flow)
        ((parent, found),) = outputs(forked)
        assert parent_of(parent) == nursery.pid

    ((_, expected),) = outputs(alone)
    assert set(found) - {"genaiops.host._nursery"} <= set(expected)
    assert "jinja2.sandbox" in found


def test_hosts_are_children_of_the_nursery_and_share_no_chance(
    tmp_path: Path, settings: Settings, nursery: Nursery
) -> None:
    flows = [make_flow(tmp_path / name, CHANCE) for name in ("one", "two")]

    (one,), (two,) = map(outputs, run(settings, *flows))

    assert one[1] == two[1] == nursery.pid
    assert all(mine != other for mine, other in zip(one[2:], two[2:], strict=True))
    assert random.Random(0).random() not in (one[2], two[2])


@pytest.mark.parametrize(
    "variable", ["PYTHONPATH", "PYTHONHASHSEED", "LD_PRELOAD", "LC_ALL", "LANG", "TZ", "HOME", "MALLOC_ARENA_MAX"]
)
def test_a_host_whose_interpreter_would_start_otherwise_is_started_in_the_usual_way(
    variable: str, settings: Settings, nursery: Nursery
) -> None:
    usual = [sys.executable]

    assert nursery.fits(usual, settings.environ)
    assert nursery.fits(usual, {**settings.environ, "OPENAI_API_KEY": "x"})
    assert not nursery.fits(usual, {**settings.environ, variable: "/x"})
    assert not nursery.fits(["/usr/bin/other-python"], settings.environ)
    assert not nursery.fits([sys.executable, "-O"], settings.environ)


def test_an_import_path_that_depends_on_the_folder_needs_a_start_in_that_folder(settings: Settings) -> None:
    environ = {**settings.environ, "PYTHONPATH": "lib"}
    with open_nursery(environ):
        nursery = current_nursery()
        assert nursery is not None
        assert not nursery.fits([sys.executable], environ)


def test_a_flow_with_a_module_of_a_name_that_is_taken_gets_its_own_module(
    tmp_path: Path, settings: Settings, nursery: Nursery
) -> None:
    code = (
        "import os, colorsys, textwrap\nfrom promptflow.core import tool\n"
        "@tool\ndef work(x: int) -> list:\n    return [colorsys.MINE, textwrap.MINE, os.getppid()]\n"
    )
    flow = make_flow(tmp_path / "flow", code)
    (flow / "colorsys.py").write_text("MINE = 'a module that nobody has imported yet'\n")
    import textwrap

    # Whole, since the host needs it too: `python -m` would take this one from the flow's folder.
    own = Path(textwrap.__file__).read_text() + "\nMINE = 'a module that every host imports'\n"
    (flow / "textwrap.py").write_text(own)

    ((unknown, taken, parent),) = outputs(run(settings, flow)[0])

    assert unknown == "a module that nobody has imported yet"
    assert taken == "a module that every host imports"
    assert parent == os.getpid()


@pytest.mark.parametrize(
    ("how", "words"),
    [("os._exit(7)", "with exit code 7"), ("os.kill(os.getpid(), signal.SIGKILL)", "by signal 9")],
)
def test_a_forked_host_that_dies_says_how_and_costs_its_row_alone(
    how: str, words: str, tmp_path: Path, settings: Settings, nursery: Nursery
) -> None:
    (record,) = run(settings, make_flow(tmp_path / "flow", DIES.replace("HOW", how)), rows=6)

    assert (record.rows.completed, record.rows.failed) == (5, 1)
    (failed,) = (outcome for outcome in record.outcomes() if outcome["status"] == "failed")
    assert failed["row"] == 3
    assert words in failed["error"]["message"]


@pytest.mark.parametrize("make", [make_flow, make_model_flow])
def test_the_death_of_the_nursery_costs_no_row(
    make: Callable[[Path, str], Path], tmp_path: Path, settings: Settings, nursery: Nursery
) -> None:
    settings = load_settings(cwd=tmp_path, environ={**settings.environ, "NOBODY_API_KEY": "none"})
    mark = tmp_path / "killed"
    code = (
        "import os, signal, time\nfrom pathlib import Path\nfrom promptflow.core import tool\n"
        f"MARK = Path({str(mark)!r})\n"
        "@tool\ndef work(x: int) -> int:\n"
        f"    if x == 2 and os.getppid() not in (1, {os.getpid()}) and not MARK.exists():\n"
        f"        MARK.touch()\n        os.kill(os.getppid(), signal.SIGKILL)\n        time.sleep(30)\n"
        "    return x\n"
    )

    (record,) = run(settings, make(tmp_path / "flow", code), rows=5)

    assert mark.exists()
    assert (record.rows.completed, record.rows.failed) == (5, 0)
    assert outputs(record) == list(range(5))


def test_everything_ends_when_the_parent_is_killed(tmp_path: Path, settings: Settings) -> None:
    code = (
        "import os, time\nfrom pathlib import Path\nfrom promptflow.core import tool\n"
        f"@tool\ndef work(x: int) -> int:\n    Path({str(tmp_path)!r}, f'{{os.getpid()}}.pid').touch()\n"
        "    time.sleep(60)\n    return x\n"
    )
    flow = make_flow(tmp_path / "flow", code)
    data = tmp_path / "rows.jsonl"
    data.write_text('{"x": 1}\n')
    script = (
        "from genaiops.nursery import open_nursery, current_nursery\n"
        "from genaiops.runs import RunSpec, run_batches\nfrom genaiops.settings import load_settings\n"
        "settings = load_settings()\n"
        "with open_nursery(settings.environ):\n"
        f"    print(current_nursery().pid, flush=True)\n"
        f"    run_batches([RunSpec(flow={str(flow)!r}, data={str(data)!r})], settings)\n"
    )
    import subprocess

    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, env=dict(settings.environ), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pids = [int(process.stdout.readline())]
        wait_until(lambda: any(tmp_path.glob("*.pid")))
        pids += [int(path.stem) for path in tmp_path.glob("*.pid")]
        assert len(pids) == 2
        assert parent_of(pids[1]) == pids[0]
        os.kill(process.pid, signal.SIGKILL)

    wait_until(lambda: not any(map(is_alive, pids)))


def test_where_no_nursery_is_open_none_is_started() -> None:
    assert current_nursery() is None


def test_a_nursery_leaves_nothing_behind(settings: Settings) -> None:
    with open_nursery(settings.environ):
        nursery = current_nursery()
        assert nursery is not None
        wait_until(lambda: children_of(nursery.pid) != [])
        (child,) = children_of(nursery.pid)

    assert current_nursery() is None
    assert not is_alive(nursery.pid)
    assert not is_alive(child)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)
