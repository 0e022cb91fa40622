"""Lanes: each hands rows to one host and takes outcomes back; what happens when a host dies or a row hangs.

Rows that were in a host when it died are suspects: each is run once more, alone in a host of its own, so that the one
that kills is found and takes no other with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from time import monotonic
from typing import Any, Protocol

from genaiops.errors import HostError
from genaiops.runs._early_stop import Stop
from genaiops.runs._host_client import Outcomes, PlanHandle

RowIn = tuple[int, dict[str, Any]]
# Rows that wait inside the host, so that it never waits for us.
_AHEAD = 64
_CHUNK = 32
_LARGE_ROW = 1 << 16
# Beyond a row's own time: how long a host may be silent while rows are in it.
_SILENCE_S = 10.0
_LAST_MOMENT_S = 0.3
_MAX_DEATHS = 5


class RowSupply(Protocol):
    """Where lanes get rows and bring outcomes."""

    @property
    def stop(self) -> Stop | None:
        """Why no more rows shall start."""

    def take(self, count: int) -> list[RowIn]:
        """Up to so many rows; empty when there are no more, or none shall start."""

    def done(self, outcomes: Outcomes) -> None:
        """Rows have finished."""

    def fail(self, row: RowIn, kind: str, message: str) -> None:
        """A row has no outcome of its own."""

    def suspect(self, rows: list[RowIn]) -> None:
        """These rows were in a host that died."""

    def give_back(self, rows: list[RowIn]) -> None:
        """These rows had not begun."""

    def end(self, stop: Stop) -> None:
        """Go no further."""


class Hosts(Protocol):
    """Where a lane gets its plan from."""

    async def open(self, slot: str) -> PlanHandle:
        """Open the flow in a host that lives and is not retired; lanes with other slots have other hosts."""

    def retire(self, plan: PlanHandle) -> None:
        """Use the host of this plan for nothing more."""

    async def close(self, plan: PlanHandle) -> None:
        """Give a plan back."""


class Lane:
    """One host after the other, rows going in and outcomes coming out.

    Args:
        supply: Where rows come from.
        hosts: Where its plan comes from.
        slot: Which host of this flow.
        row_timeout_s: A host that is silent for much longer is taken for dead.
        alone: Run one row at a time: for suspects.
    """

    def __init__(
        self,
        supply: RowSupply,
        hosts: Hosts,
        *,
        slot: str,
        row_timeout_s: float | None,
        alone: bool = False,
    ) -> None:
        self._supply = supply
        self._hosts = hosts
        self._slot = slot
        self._silence_s = None if row_timeout_s is None else row_timeout_s + _SILENCE_S
        self._alone = alone
        self._in_flight: dict[int, RowIn] = {}
        self._deaths = 0
        self._is_held = False
        self._draining: set[asyncio.Task[None]] = set()
        self.plan: PlanHandle | None = None

    async def work(self) -> None:
        """Until there are no more rows."""
        while True:
            rows = self._take(1)
            if not rows:
                break
            if self.plan is None or not self.plan.host.is_alive:
                self.plan = await self._hosts.open(self._slot)
            self.plan.send_rows(rows)
            try:
                await self._pump(self.plan)
            except HostError as error:
                dead, self.plan = self.plan, None
                self._host_died(dead, error)
                self._hosts.retire(dead)
                await self._hosts.close(dead)
        if self._draining:
            await asyncio.gather(*self._draining)

    def in_flight(self) -> list[RowIn]:
        """Rows that have been handed over and have not come back."""
        return list(self._in_flight.values())

    def wake(self) -> None:
        """Look again whether to stop."""
        if self.plan is not None:
            self.plan.inbox.put_nowait(Outcomes([], b"", b""))

    async def _pump(self, plan: PlanHandle) -> None:
        """Rows in, outcomes out, until there are no more rows or the plan is to be replaced.

        Raises:
            HostError: The host died, or has been silent for too long.
        """
        limit = 1 if self._alone else int(plan.about["concurrency"])
        while True:
            # Large rows do not wait inside the host: they would fill the memory twice.
            self._fill(plan, limit if self._alone or plan.row_bytes > _LARGE_ROW else limit + _AHEAD)
            if not self._in_flight:
                return
            hangs = self._finish(await self._next(plan))
            if self._supply.stop is not None and not await self._slow_down(plan, self._supply.stop):
                return
            if hangs:
                # A thread hangs in there. What is in flight may finish while rows go to another host.
                await self._leave_behind(plan)
                return

    def _take(self, count: int) -> list[RowIn]:
        rows = self._supply.take(count)
        for row in rows:
            self._in_flight[row[0]] = row
        return rows

    def _fill(self, plan: PlanHandle, window: int) -> None:
        """Hand over rows, many at a time: a message costs more than a row in it."""
        room = window - len(self._in_flight)
        while room >= min(_CHUNK, max(1, window // 4)) and (rows := self._take(min(room, _CHUNK))):
            plan.send_rows(rows)
            room -= len(rows)

    async def _next(self, plan: PlanHandle) -> Outcomes:
        if not plan.inbox.empty() or self._silence_s is None:
            outcomes = await plan.inbox.get()
        else:
            try:
                async with asyncio.timeout(self._silence_s):
                    outcomes = await plan.inbox.get()
            except TimeoutError:
                await plan.host.kill()
                raise HostError(
                    f"The flow host did not answer for {self._silence_s:g} s.", kind="LineExecutionTimeoutError"
                ) from None
        if outcomes is None:
            raise plan.host.death()
        return outcomes

    async def _slow_down(self, plan: PlanHandle, stop: Stop) -> bool:
        """Wait for rows that have begun, if the reason to stop lets them finish; False when it does not."""
        if not stop.drain:
            await self._take_what_is_finished(plan)
            return False
        if not self._is_held:
            self._is_held = True
            for row in await plan.hold():
                self._in_flight.pop(row, None)
        return True

    async def _take_what_is_finished(self, plan: PlanHandle) -> None:
        """Rows that finished a moment ago may still be in the host or in the pipe; they are paid for."""
        with contextlib.suppress(TimeoutError, HostError):
            async with asyncio.timeout(_LAST_MOMENT_S):
                await plan.hold()
        while not plan.inbox.empty() and (outcomes := plan.inbox.get_nowait()) is not None:
            self._finish(outcomes)
        self._in_flight.clear()

    def _finish(self, outcomes: Outcomes) -> bool:
        """Record rows; True when one of them left a thread behind that hangs."""
        for header in outcomes.rows:
            self._in_flight.pop(header["row"], None)
        if outcomes.rows:
            self._deaths = 0
            self._supply.done(outcomes)
        return any(header.get("stuck") for header in outcomes.rows)

    async def _leave_behind(self, plan: PlanHandle) -> None:
        self._hosts.retire(plan)
        in_flight, self._in_flight, self.plan = self._in_flight, {}, None
        if not in_flight:
            await self._hosts.close(plan)
            return
        drain = Drain(self._supply, self._hosts, plan, in_flight, self._silence_s)
        task = asyncio.create_task(drain.work())
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    def _host_died(self, plan: PlanHandle, error: HostError) -> None:
        rows, self._in_flight = list(self._in_flight.values()), {}
        self._deaths += 1
        if self._alone:
            for row in rows:
                self._supply.fail(row, error.kind, _death_of_row(row, error))
        else:
            # Rows start in the order in which they were sent, so those behind the limit had not begun.
            limit = int(plan.about["concurrency"])
            self._supply.suspect(rows[:limit])
            self._supply.give_back(rows[limit:])
        if self._deaths >= _MAX_DEATHS and not self._alone:
            self._supply.end(Stop("host-dies", f"The flow host dies again and again. {error.message}"))


class Drain:
    """The last rows of a host that takes no more; it never comes back to its lane."""

    def __init__(
        self,
        supply: RowSupply,
        hosts: Hosts,
        plan: PlanHandle,
        in_flight: dict[int, RowIn],
        silence_s: float | None,
    ) -> None:
        self._supply = supply
        self._hosts = hosts
        self._plan = plan
        self._in_flight = in_flight
        self._silence_s = silence_s

    async def work(self) -> None:
        """Until the last row has finished, or the host has been silent for too long."""
        last = monotonic()
        while self._in_flight and self._supply.stop is None:
            left = None if self._silence_s is None else max(0.0, self._silence_s - (monotonic() - last))
            try:
                async with asyncio.timeout(1.0 if left is None else min(1.0, left)):
                    outcomes = await self._plan.inbox.get()
            except TimeoutError:
                if left is not None and left <= 1.0:
                    break
                continue
            if outcomes is None:
                break
            last = monotonic()
            for header in outcomes.rows:
                self._in_flight.pop(header["row"], None)
            if outcomes.rows:
                self._supply.done(outcomes)
        if self._in_flight and self._supply.stop is None:
            self._supply.suspect(list(self._in_flight.values()))
        await self._hosts.close(self._plan)


def _death_of_row(row: RowIn, error: HostError) -> str:
    if error.kind == "LineExecutionTimeoutError":
        return f"Line {row[0]} execution timeout: {error.message}"
    return f"The flow host died while it ran line {row[0]}, and again when it ran this line alone. {error.message}"
