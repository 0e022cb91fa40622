import asyncio
import contextlib
import json
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.kept import KeptResults, content_key

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(parts=st.dictionaries(st.text(), _json, min_size=2, max_size=5))
def test_the_order_of_parts_does_not_matter(parts: dict[str, Any]) -> None:
    turned = dict(reversed(list(parts.items())))

    assert content_key(parts) == content_key(turned)


@given(first=_json, second=_json)
def test_equal_keys_mean_equal_json(first: Any, second: Any) -> None:
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)

    assert (content_key({"v": first}) == content_key({"v": second})) == same


def test_a_key_is_the_hash_of_canonical_json() -> None:
    """printf '{"a":"é","b":[1,1.5,true,null]}' | sha256sum"""
    key = content_key({"b": [1, 1.5, True, None], "a": "é"})

    assert key == "c2addd040009fe5cb149818b0e428b90bbb5fe4b142f0c72963b94a2e51da1f6"


def test_what_has_no_json_form_cannot_be_part_of_a_key() -> None:
    with pytest.raises(TypeError):
        content_key({"node": object()})


def test_a_result_outlives_the_process_that_kept_it(tmp_path: Path) -> None:
    async def keep() -> None:
        with KeptResults(tmp_path / "cache") as kept:
            await kept.put("k", {"output": "Zürich", "usage": {"input": 3}})

    async def read() -> Any:
        with KeptResults(tmp_path / "cache") as kept:
            return await kept.get("k"), await kept.get("other")

    asyncio.run(keep())

    assert asyncio.run(read()) == ({"output": "Zürich", "usage": {"input": 3}}, None)


def test_large_and_odd_values_come_back_as_they_were(tmp_path: Path) -> None:
    values = [{"text": "x" * 100_000}, {"text": "\ud800 lone, \u2028, \x00"}, {"n": 10**30, "f": 0.1, "e": {}}]

    async def run() -> list[Any]:
        with KeptResults(tmp_path) as kept:
            for i, value in enumerate(values):
                await kept.put(str(i), value)
            kept.flush()
        with KeptResults(tmp_path) as kept:
            return [await kept.get(str(i)) for i in range(len(values))]

    assert asyncio.run(run()) == values
    assert (tmp_path / "results.sqlite").stat().st_size < 60_000


def test_many_who_want_the_same_result_make_it_once(tmp_path: Path) -> None:
    made = 0

    async def make() -> dict[str, Any]:
        nonlocal made
        made += 1
        await asyncio.sleep(0.02)
        return {"output": [1]}

    async def run() -> list[str]:
        with KeptResults(tmp_path) as kept:
            answers = await asyncio.gather(*(kept.share("k", make) for _ in range(20)))
            answers[1].value["output"].append(2)  # everybody owns a copy
            assert all(answer.value == {"output": [1]} for i, answer in enumerate(answers) if i != 1)
            return [answer.how for answer in answers]

    how = asyncio.run(run())

    assert made == 1
    assert sorted(how) == ["fresh"] + ["shared"] * 19


def test_when_the_maker_is_cancelled_the_next_one_makes_it(tmp_path: Path) -> None:
    made = []

    async def run() -> str:
        async def make() -> dict[str, Any]:
            made.append(1)
            await asyncio.sleep(0.05)
            return {}

        with KeptResults(tmp_path) as kept:
            first = asyncio.create_task(kept.share("k", make))
            await asyncio.sleep(0.01)
            second = asyncio.create_task(kept.share("k", make))
            await asyncio.sleep(0.01)
            first.cancel()
            return (await second).how

    assert asyncio.run(run()) == "fresh"
    assert len(made) == 2


def test_a_failure_is_shared_and_not_kept(tmp_path: Path) -> None:
    calls = 0

    async def run() -> list[Any]:
        async def make() -> dict[str, Any]:
            nonlocal calls
            calls += 1
            await asyncio.sleep(0.01)
            if calls == 1:
                raise ValueError("no")
            return {"ok": True}

        with KeptResults(tmp_path) as kept:
            first = await asyncio.gather(kept.share("k", make), kept.share("k", make), return_exceptions=True)
            return [*map(type, first), (await kept.share("k", make)).how]

    assert asyncio.run(run()) == [ValueError, ValueError, "fresh"]


def test_the_file_stays_bounded_and_forgets_the_least_used(tmp_path: Path) -> None:
    async def run() -> tuple[int, Any]:
        with KeptResults(tmp_path, max_bytes=20_000) as kept:
            await kept.put("loved", {"v": "loved"})
            kept.flush()
            for i in range(20):
                time.sleep(0.002)
                assert await kept.get("loved") is not None
                await kept.put(f"k{i}", {"v": random.Random(i).randbytes(750).hex()})  # compressing it saves little
                kept.flush()
            loved = await kept.get("loved")
        with sqlite3.connect(tmp_path / "results.sqlite") as connection:
            size = connection.execute("SELECT SUM(bytes) FROM results").fetchone()[0]
        connection.close()
        return size, loved

    size, loved = asyncio.run(run())

    assert size <= 20_000
    assert loved == {"v": "loved"}


def test_what_is_used_again_at_once_writes_nothing(tmp_path: Path) -> None:
    async def run() -> tuple[int, int]:
        with KeptResults(tmp_path) as kept:
            await kept.put("k", {"v": 1})
        log = tmp_path / "results.sqlite-wal"
        with KeptResults(tmp_path) as kept:
            await kept.get("k")
            kept.flush()
            return (log.stat().st_size if log.exists() else 0), (await kept.get("k") or {})["v"]

    assert asyncio.run(run()) == (0, 1)


def test_the_file_knows_what_was_used_after_a_while(tmp_path: Path) -> None:
    hour_ms = 3_600_000

    def used_ms() -> int:
        with contextlib.closing(sqlite3.connect(tmp_path / "results.sqlite")) as connection:
            return int(connection.execute("SELECT used_ms FROM results").fetchone()[0])

    async def run() -> tuple[int, int]:
        with KeptResults(tmp_path) as kept:
            await kept.put("k", {"v": 1})
        before = used_ms()
        with contextlib.closing(sqlite3.connect(tmp_path / "results.sqlite")) as connection:
            connection.execute("UPDATE results SET used_ms = used_ms - ?", (hour_ms,))
            connection.commit()
        with KeptResults(tmp_path) as kept:
            await kept.get("k")
        return before, used_ms()

    before, after = asyncio.run(run())

    assert after >= before


@pytest.mark.parametrize("damage", [b"not a database at all" * 100, b""])
def test_a_broken_file_is_set_aside_and_work_goes_on(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "results.sqlite").write_bytes(damage)

    async def run() -> Any:
        with KeptResults(tmp_path) as kept:
            assert await kept.get("k") is None
            await kept.put("k", {"v": 1})
        with KeptResults(tmp_path) as kept:
            return await kept.get("k")

    assert asyncio.run(run()) == {"v": 1}
    if damage:
        assert list(tmp_path.glob("results.sqlite.broken-*"))
        assert "broken" in caplog.text


def test_a_file_broken_in_the_middle_never_fails_a_run(tmp_path: Path) -> None:
    async def fill() -> None:
        with KeptResults(tmp_path) as kept:
            for i in range(200):
                await kept.put(f"k{i}", {"v": str(i) * 500})

    async def use() -> list[Any]:
        with KeptResults(tmp_path) as kept:
            for i in range(200):
                await kept.get(f"k{i}")
            await kept.put("new", {"v": 1})
            kept.flush()
            await kept.put("newer", {"v": 2})
            kept.flush()
            return [await kept.get("newer")]

    asyncio.run(fill())
    path = tmp_path / "results.sqlite"
    data = bytearray(path.read_bytes())
    data[4096:60_000] = b"\xff" * (60_000 - 4096)
    path.write_bytes(bytes(data))

    assert asyncio.run(use()) in ([{"v": 2}], [None])


_WRITER = """
import asyncio, sys
from pathlib import Path
from genaiops.kept import KeptResults
async def main(folder, name):
    with KeptResults(Path(folder)) as kept:
        for i in range(300):
            await kept.put(f"{name}{i}", {"v": i})
            await kept.get(f"{name}{i // 2}")
            if i % 50 == 0:
                kept.flush()
asyncio.run(main(*sys.argv[1:]))
"""


def test_many_processes_may_keep_results_at_once(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path), name]) for name in "abc"]

    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]

    async def read() -> int:
        with KeptResults(tmp_path) as kept:
            return sum([await kept.get(f"{name}{i}") is not None for name in "abc" for i in range(300)])

    assert asyncio.run(read()) == 900


def test_what_was_put_a_second_ago_survives_a_kill(tmp_path: Path) -> None:
    program = """
import asyncio, os, signal, sys, time
from pathlib import Path
from genaiops.kept import KeptResults
kept = KeptResults(Path(sys.argv[1]))
asyncio.run(kept.put("k", {"v": 1}))
time.sleep(1)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)

    async def read() -> Any:
        with KeptResults(tmp_path) as kept:
            return await kept.get("k")

    assert asyncio.run(read()) == {"v": 1}


def test_get_and_put_cost_little(tmp_path: Path) -> None:
    """0.2 ms each, amortised over many; twice that leaves room for a busy machine."""

    async def run() -> float:
        with KeptResults(tmp_path) as kept:
            value = {"output": "x" * 400, "usage": {"input": 10, "output": 20}}
            started = time.process_time()
            for i in range(3000):
                await kept.put(f"{i:064}", value)
            kept.flush()
            for i in range(3000):
                await kept.get(f"{i:064}")
            return (time.process_time() - started) / 6000 * 1000

    assert asyncio.run(run()) < 0.4


def test_a_result_that_holds_a_secret_is_shared_while_it_is_made_and_kept_nowhere(tmp_path: Path) -> None:
    async def run() -> list[str]:
        async def make() -> dict[str, Any]:
            await asyncio.sleep(0.01)
            return {"output": "the key is s3cr3t-k3y"}

        with KeptResults(tmp_path, holds_secret=lambda text: "s3cr3t-k3y" in text) as kept:
            together = await asyncio.gather(*(kept.share("key", make) for _ in range(2)))
            again = await kept.share("key", make)
        return sorted(shared.how for shared in (*together, again))

    assert asyncio.run(run()) == ["fresh", "fresh", "shared"]
    assert not any(b"s3cr3t" in path.read_bytes() for path in tmp_path.iterdir())
