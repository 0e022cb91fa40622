"""Servers behind a proxy are restarted one after the other under load, and no request is lost."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import aiohttp
import pytest

from .balancer import find_haproxy, free_port, haproxy, tiny
from .processes import Process, serving, wait_until
from .test_metrics import answered

CLIENTS = 8


class Load:
    """Requests without pause, until it is stopped: half of the clients keep their connections, the others do not."""

    def __init__(self, port: int) -> None:
        self.answers: Counter[str] = Counter()
        self._address = f"http://127.0.0.1:{port}/score"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=60)
        async with (
            aiohttp.ClientSession(timeout=timeout) as keeping,
            aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(force_close=True)) as closing,
        ):
            await asyncio.gather(*(self._client(session) for session in [keeping, closing] * (CLIENTS // 2)))

    async def _client(self, session: aiohttp.ClientSession) -> None:
        while not self._stop.is_set():
            try:
                async with session.post(self._address, json={"text": "hi"}) as reply:
                    good = reply.status == 200 and await reply.json() == {"shouted": "HI"}
                    self.answers["good" if good else f"status {reply.status}"] += 1
            except aiohttp.ClientError as error:
                self.answers[f"{type(error).__name__}: {error}"] += 1
            await asyncio.sleep(0.005)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "proxy",
    [
        "tiny",
        pytest.param(
            "haproxy",
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(find_haproxy() is None, reason="no HAProxy here (apt-get install haproxy)"),
            ],
        ),
    ],
)
def test_servers_restarted_in_turn_behind_a_proxy_drop_no_request(echo_flow: Path, proxy: str, tmp_path: Path) -> None:
    ports = [free_port(), free_port()]

    def server(port: int) -> AbstractContextManager[Process]:
        # The proxy looks every tenth of a second; a busy machine may take much longer to let it.
        return serving(echo_flow, "--port", str(port), "--drain-delay", "3", "--grace", "20", cwd=tmp_path)

    with ExitStack() as stack:
        running = {port: stack.enter_context(server(port)) for port in ports}
        through = stack.enter_context(tiny(ports) if proxy == "tiny" else haproxy(ports, tmp_path))
        load = Load(through)
        stack.callback(load.stop)
        for port in ports:
            # Whoever restarts servers in turn waits until the proxy uses the last one again.
            for process in running.values():
                wait_until(lambda process=process: answered(process) > 100, 60)
            assert running[port].stop() == 0
            running[port] = stack.enter_context(server(port))
        load.stop()

    assert set(load.answers) == {"good"}, load.answers
    assert load.answers["good"] > 500
