"""Clients: one connection at a time, and closed loops. Load in earnest is `faults.load`."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

NO_ANSWER = 0
REFUSED = -1
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_BODILESS = (204, 304)
UNAVAILABLE = 503


@dataclass(slots=True)
class Answer:
    """What came back. Status 0: nothing, the connection broke; -1: there was no connection."""

    status: int
    head: bytes = b""
    body: bytes = b""
    began: float = 0.0
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether it did what was asked."""
        return 200 <= self.status < 400  # noqa: PLR2004 - HTTP

    @property
    def is_polite_refusal(self) -> bool:
        """Whether it is a 503 that says when to come again."""
        return self.status == UNAVAILABLE and b"retry-after:" in self.head.lower()


def answer_in(data: bytes) -> tuple[Answer, bool] | None:
    """Return the answer that came, and whether the server closes after it; None until it is whole."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return None
    status = int(head[9:12])
    length = _LENGTH.search(head)
    if status not in _BODILESS and (length is None or len(body) < int(length[1])):
        return None
    return Answer(status, head, body), _CLOSES.search(head) is not None


class Connection(asyncio.Protocol):
    """A connection that is kept until the server closes it."""

    def __init__(self) -> None:
        """Wait for a transport."""
        self.transport: asyncio.Transport | None = None
        self._data = b""
        self._waiting: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember it."""
        self.transport = transport  # type: ignore[assignment] # a stream

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Tell who waits."""
        self.transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(Answer(NO_ANSWER))

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return self.transport is not None and not self.transport.is_closing()

    async def ask(self, request: bytes) -> Answer:
        """Send a request and wait for the whole answer."""
        if self.transport is None:
            return Answer(NO_ANSWER)
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._waiting

    def data_received(self, data: bytes) -> None:
        """Collect until the answer is whole."""
        self._data += data
        found = answer_in(self._data)
        if found is None:
            return
        self._data = b""
        answer, closes = found
        if closes and self.transport is not None:
            self.transport.close()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(answer)

    def abort(self) -> None:
        """Leave without a word."""
        if self.transport is not None:
            self.transport.abort()


class Client:
    """Asks one server, on connections that are used again."""

    def __init__(self, port: int, token: str | None = None, *, patience_s: float = 30) -> None:
        """Connect to nothing yet."""
        self._port = port
        self._token = token
        self._patience_s = patience_s
        self._idle: list[Connection] = []

    def encode(self, method: str, target: str, body: bytes = b"", **headers: str) -> bytes:
        """Encode a request."""
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
        if self._token:
            lines.append(f"Authorization: Bearer {self._token}")
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    async def send(self, request: bytes) -> Answer:
        """Send an encoded request; hang up when patience has ended."""
        began = time.monotonic()
        connection = None
        try:
            async with asyncio.timeout(self._patience_s):
                connection = await self._connection()
                answer = await connection.ask(request)
        except TimeoutError:
            if connection is not None:
                connection.abort()
            return Answer(NO_ANSWER, began=began, seconds=time.monotonic() - began)
        except OSError:
            return Answer(REFUSED, began=began, seconds=time.monotonic() - began)
        if connection.is_open:
            self._idle.append(connection)
        answer.began, answer.seconds = began, time.monotonic() - began
        return answer

    async def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        """Send a request."""
        return await self.send(self.encode(method, target, body, **headers))

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", self._port)
        return connection

    def close(self) -> None:
        """Cut what is open."""
        for connection in self._idle:
            connection.abort()
        self._idle.clear()


@dataclass
class Tally:
    """What happened to many requests."""

    answers: list[Answer] = field(default_factory=list)

    def add(self, answer: Answer) -> None:
        """Keep one."""
        self.answers.append(answer)

    def statuses(self) -> dict[int, int]:
        """Count by status."""
        found: dict[int, int] = {}
        for answer in self.answers:
            found[answer.status] = found.get(answer.status, 0) + 1
        return dict(sorted(found.items()))

    def of(self, *statuses: int) -> list[Answer]:
        """Return those with one of these."""
        return [answer for answer in self.answers if answer.status in statuses]

    def good(self) -> list[Answer]:
        """Return those that did what was asked."""
        return [answer for answer in self.answers if answer.is_good]

    def bad(self) -> list[Answer]:
        """Return what is neither good nor a polite refusal."""
        return [answer for answer in self.answers if not answer.is_good and not answer.is_polite_refusal]


def longest_gap(answers: list[Answer]) -> float:
    """Return the longest time in which none of these came, in seconds."""
    times = sorted(answer.began + answer.seconds for answer in answers)
    return max((later - earlier for earlier, later in pairwise(times)), default=float("inf"))


def percentile(answers: list[Answer], percent: float) -> float:
    """Return a percentile of the times, in seconds."""
    times = sorted(answer.seconds for answer in answers)
    return times[min(len(times) - 1, int(len(times) * percent / 100))] if times else 0.0


async def closed_loop(ask: Callable[[], Awaitable[Answer]], *, clients: int, seconds: float) -> Tally:
    """Let clients ask one after the other, each waiting for its answer."""
    tally = Tally()
    ends = time.monotonic() + seconds

    async def work() -> None:
        while time.monotonic() < ends:
            answer = await ask()
            tally.add(answer)
            if answer.status <= 0:
                await asyncio.sleep(0.05)

    await asyncio.gather(*(work() for _ in range(clients)))
    return tally
