"""Overload: a place for each request at work, a deadline, and clients that are slow.

`GateMiddleware` stands around the application: what the read cache answers passes no gate. `StormMiddleware` stands outside
everything, and in a storm refuses reads at the price of two messages. Health is asked by those who decide about restarts:
it is never refused. See ADR 0019.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import orjson
import structlog

from fastapi_application.core import metrics
from fastapi_application.core.errors import RequestTimeoutError, ServiceUnavailableError
from fastapi_application.core.problems import PROBLEM_MEDIA_TYPE, problem_body, send_problem
from fastapi_application.core.request_id import request_id_var
from fastapi_application.middleware.correlation_id import request_id_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from fastapi_application.core.gate import Gate

    type MayBeKept = Callable[[Scope], bool]

HEALTH = "/api/v1/health"
READS = ("GET", "HEAD", "OPTIONS")
BODY_PATIENCE_S = 15.0
SLOWEST_BODY_BYTES_PER_S = 32 * 1024
ANSWER_S = 60.0
"""How long the sending of an answer may take; a client that reads too slowly is cut off earlier, by the protocol."""
_COUNT_S = 0.5
_STORM_LINE_S = 5.0
_OUT_OF_TIME = "The request could not be answered in time; try again after Retry-After seconds."
_logger = structlog.get_logger(__name__)


class GateMiddleware:
    """Lets requests in one by one, and answers 503 for those that take too long."""

    def __init__(self, app: ASGIApp, gate: Gate, deadline_s: float) -> None:
        """Wrap the application."""
        self.app = app
        self.gate = gate
        self.deadline_s = deadline_s
        self._late: set[asyncio.Future[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"].startswith(HEALTH):
            await self.app(scope, receive, send)
            return
        visit = _Visit(self.gate, scope, receive, send, self.deadline_s)
        try:
            await visit.take_place()
            await self._serve(scope, visit)
        except ServiceUnavailableError as error:
            if visit.has_begun_answer:
                raise
            # An answer and no exception: the read cache shares it with all who wait for it.
            await send_problem(send, error, scope["path"])

    async def _serve(self, scope: Scope, visit: _Visit) -> None:
        task = asyncio.ensure_future(self.app(scope, visit.receive, visit.send))
        task.add_done_callback(visit.end)
        try:
            await visit.wait_for(task)
        finally:
            if not task.done():
                self._late.add(task)
                task.add_done_callback(self._forget)
                task.cancel()

    def _forget(self, task: asyncio.Future[None]) -> None:
        """Read what a cancelled task ended with: nobody else does."""
        self._late.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.warning("late_request_failed", error=type(error).__name__)


class _Visit:
    """One request inside the gate. While its client is sending it has no place, and its time stands still."""

    def __init__(self, gate: Gate, scope: Scope, receive: Receive, send: Send, deadline_s: float) -> None:
        self._gate, self._receive, self._send = gate, receive, send
        self._write = scope["method"] not in READS
        self._loop = asyncio.get_running_loop()
        self._has_place = self.has_begun_answer = self._is_over = False
        self._more_body = True
        self._received = 0
        self._reading_since: float | None = None
        self._read_s = 0.0
        self._deadline = self._loop.time() + deadline_s

    async def take_place(self) -> None:
        await self._gate.enter(write=self._write)
        if self._is_over:  # while it waited
            self._gate.leave()
        else:
            self._has_place = True

    def give_place(self) -> None:
        if self._has_place:
            self._has_place = False
            self._gate.leave()

    def end(self, _task: asyncio.Future[None]) -> None:
        """Nothing of it is left at work."""
        self._is_over = True
        self.give_place()

    async def wait_for(self, task: asyncio.Future[None]) -> None:
        """Wait for the application, or until time is over.

        Raises:
            ServiceUnavailableError: out of time, and nothing is sent yet.

        """
        while not task.done():
            left = self._deadline - self._loop.time()
            if left <= 0 and self._reading_since is None:
                self._is_over = True
                metrics.shed("deadline", write=self._write)
                raise ServiceUnavailableError(_OUT_OF_TIME)
            await asyncio.wait((task,), timeout=max(left, 0.05))
        task.result()

    async def receive(self) -> Message:
        """Receive a part of the body, in which the client is to make some progress.

        Raises:
            RequestTimeoutError: it makes none.

        """
        if not self._more_body:
            return await self._receive()
        self.give_place()
        self._reading_since = began = self._loop.time()
        patience = BODY_PATIENCE_S + self._received / SLOWEST_BODY_BYTES_PER_S - self._read_s
        try:
            async with asyncio.timeout(patience):
                message = await self._receive()
        except TimeoutError:
            metrics.shed("slow_body", write=self._write)
            raise RequestTimeoutError from None
        finally:
            spent = self._loop.time() - began
            self._read_s += spent
            self._deadline += spent
            self._reading_since = None
        self._received += len(message.get("body", b""))
        self._more_body = message.get("more_body", False)
        await self.take_place()
        return message

    async def send(self, message: Message) -> None:
        """Send, unless the deadline was quicker. Who has begun to answer needs no place any more."""
        if self._is_over:
            return
        if not self.has_begun_answer:
            self.has_begun_answer = True
            self._deadline = self._loop.time() + ANSWER_S
            self.give_place()
        await self._send(message)


class StormMiddleware:
    """Refuses reads outright while the gate's queue is full and many are refused: that must not cost what answers cost."""

    def __init__(self, app: ASGIApp, gate: Gate, headers: Sequence[tuple[bytes, bytes]], may_be_kept: MayBeKept = lambda _: False) -> None:
        """Wrap everything.

        Args:
            app: the edge.
            gate: knows whether there is a storm.
            headers: of every answer.
            may_be_kept: whether the read cache can answer a request from memory; it then may try.

        """
        self.app = app
        self.gate = gate
        self.headers = list(headers)
        self.may_be_kept = may_be_kept
        self._refusal = _Refusal(self.headers)
        self._toll = _Toll()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] == "http" and self._is_refused(scope):
            await self._refuse(scope, send)
        else:
            await self.app(scope, receive, send)

    def _is_refused(self, scope: Scope) -> bool:
        return (
            self.gate.is_storm()
            and scope["method"] in ("GET", "HEAD")
            and not scope["path"].startswith(HEALTH)
            and not self.may_be_kept(scope)
        )

    async def _refuse(self, scope: Scope, send: Send) -> None:
        self.gate.note_refusal()
        self._toll.add()
        start, body = self._refusal.of(scope)
        await send(start)
        await send(body)


class _Refusal:
    """The problem document of a refused read, of which only the path and the id are new each time."""

    def __init__(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._error = ServiceUnavailableError("Too many requests are being served; try again after Retry-After seconds.")
        path, identifier = '"{path}"', '"{id}"'
        token = request_id_var.set(identifier.strip('"'))
        text = problem_body(self._error, path.strip('"')).decode()
        request_id_var.reset(token)
        self._begin, _, rest = (part.encode() for part in text.partition(path))
        self._middle, _, self._end = rest.partition(identifier.encode())
        self._headers = [
            (b"content-type", PROBLEM_MEDIA_TYPE.encode()),
            (b"cache-control", b"no-store"),
            (b"retry-after", self._error.headers["Retry-After"].encode()),
            *headers,
        ]

    def of(self, scope: Scope) -> tuple[Message, Message]:
        """Return the two messages of an answer."""
        request_id = request_id_of(scope)
        path, identifier = (orjson.dumps(text.encode("utf-8", "replace").decode()) for text in (scope["path"], request_id.decode()))
        body = b"".join((self._begin, path, self._middle, identifier, self._end))
        headers = [*self._headers, (b"content-length", b"%d" % len(body)), (b"x-request-id", request_id)]
        start = {"type": "http.response.start", "status": self._error.status, "headers": headers}
        return start, {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body}


class _Toll:
    """Counts what is refused, and tells of many at once: a number and a line for each would be part of the overload."""

    def __init__(self) -> None:
        self._uncounted = self._untold = 0
        self._told_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def add(self) -> None:
        self._uncounted += 1
        if self._timer is None:
            self._wait()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_COUNT_S, self._tell)

    def _tell(self) -> None:
        self._timer = None
        if (to := metrics.instruments()) is not None:
            to.shed.labels("storm", "read").inc(self._uncounted)
        self._untold += self._uncounted
        self._uncounted = 0
        if time.monotonic() - self._told_at >= _STORM_LINE_S:
            _logger.warning("reads_refused", count=self._untold)
            self._untold, self._told_at = 0, time.monotonic()
        if self._untold:
            self._wait()
