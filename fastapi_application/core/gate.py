"""How many requests one process works at, how many may wait for their turn, and for how long.

Beyond its places a process only gets slower; what would wait longer than a client wants to is refused at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

from fastapi_application.core import metrics
from fastapi_application.core.errors import ServiceUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi_application.core.config import ServerSettings

_TICK_S = 0.05
_MEMORY = 0.1
"""How much of the pace the last request says."""
_PRUDENCE = 0.75
"""How much of the longest wait may be expected: who is let in and refused later has cost the most for nothing."""
LATE_S = 0.05
FEWEST = 4
"""So many keep one core and the database busy."""
STORM_WINDOW_S = 0.1
STORM_REFUSALS = 3
"""Refusals within one window from which on it pays to refuse reads before anything else is done for them."""


class Gate:
    """Places for requests at work, and a queue in which writes stand before reads."""

    def __init__(self, places: int, queue: int, wait_s: float) -> None:
        """Begin empty.

        Args:
            places: requests at work at once.
            queue: requests that wait; half of it is for writes only.
            wait_s: seconds that a request waits at most.

        """
        self.places, self.queue, self.wait_s = places, queue, wait_s
        self.limit = places
        self.at_work = 0
        self._writes: deque[asyncio.Future[None]] = deque()
        self._reads: deque[asyncio.Future[None]] = deque()
        self._pace_s = self._left_at = 0.0
        self._window_ends = 0.0
        self._refusals = self._refusals_before = 0

    @classmethod
    def of(cls, settings: ServerSettings) -> Self:
        """Make the gate of a process."""
        return cls(settings.concurrency, settings.queue, settings.queue_wait_s)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._writes) + len(self._reads)

    async def enter(self, *, write: bool) -> None:
        """Take a place, or wait for one.

        Raises:
            ServiceUnavailableError: too many wait already, or nobody left in time.

        """
        if self.at_work < self.limit:
            self.at_work += 1
            return
        if not self._has_room(write=write):
            self._refuse("queue_full", write=write)
        lane = self._writes if write else self._reads
        if not self.waiting:
            self._left_at = asyncio.get_running_loop().time()
        turn = asyncio.get_running_loop().create_future()
        lane.append(turn)
        try:
            async with asyncio.timeout(self.wait_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.leave()  # it was our turn at the very moment
            elif turn in lane:
                lane.remove(turn)
            if isinstance(error, TimeoutError):
                self._refuse("queue_wait", write=write)
            raise

    def leave(self) -> None:
        """Give the place to who waits for it, a write first."""
        self.at_work -= 1
        if self.waiting:
            now = asyncio.get_running_loop().time()
            self._pace_s += _MEMORY * (min(now - self._left_at, self.wait_s) - self._pace_s)
            self._left_at = now
        else:
            self._pace_s *= 1 - _MEMORY
        self._fill()

    def _has_room(self, *, write: bool) -> bool:
        """Whether one more may wait: the queue has a place for it, and at the present pace its turn comes in time."""
        ahead = len(self._writes) if write else self.waiting
        return self.waiting < (self.queue if write else self.queue // 2) and ahead * self._pace_s < self.wait_s * _PRUDENCE

    def _fill(self) -> None:
        while self.at_work < self.limit and (turn := self._next()) is not None:
            self.at_work += 1
            turn.set_result(None)

    def _next(self) -> asyncio.Future[None] | None:
        for lane in (self._writes, self._reads):
            while lane:
                turn = lane.popleft()
                if not turn.done():
                    return turn
        return None

    async def steady(self) -> None:
        """Fit the limit to this process, until cancelled: a late event loop means that more at once only makes all slower."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _TICK_S
            await asyncio.sleep(_TICK_S)
            self.adapt(loop.time() - due)

    def adapt(self, late_s: float) -> None:
        """Go down quickly when the loop is late, and up slowly while there is a use for it."""
        if late_s > LATE_S:
            self.limit = max(min(FEWEST, self.places), int(self.limit * 0.7))
        elif self.at_work >= self.limit:
            self.limit = min(self.places, self.limit + 1)
            self._fill()

    def is_storm(self) -> bool:
        """Whether reads would almost certainly be refused: the queue is full, and has been for a while."""
        if self.at_work < self.limit or self._has_room(write=False):
            return False
        self._turn_window()
        return max(self._refusals, self._refusals_before) >= STORM_REFUSALS

    def note_refusal(self) -> None:
        """Count one refusal."""
        self._turn_window()
        self._refusals += 1

    def _turn_window(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._window_ends:
            self._refusals_before = self._refusals if now < self._window_ends + STORM_WINDOW_S else 0
            self._refusals = 0
            self._window_ends = now + STORM_WINDOW_S

    def _refuse(self, reason: str, *, write: bool) -> None:
        self.note_refusal()
        metrics.shed(reason, write=write)
        raise ServiceUnavailableError("Too many requests are being served; try again after Retry-After seconds.")


@asynccontextmanager
async def adapting(gate: Gate) -> AsyncIterator[None]:
    """Fit the gate to the process while the block runs."""
    task = asyncio.create_task(gate.steady())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
