"""Load from a process of its own, as cheap as it can be: what the generator takes is not there for the service.

Both loops speak HTTP/1.1 on connections that are kept. An open loop does not wait for answers: its requests are due at fixed
times, whatever became of those before, and times count from when a request was due.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import select
import socket
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

from faults.client import NO_ANSWER, REFUSED, Answer, Tally, answer_in

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 30.0
_WAIT_S = 0.002
_CHUNK = 256 * 1024


@dataclass(slots=True)
class _Open:
    """A request under way."""

    connection: socket.socket
    due: float
    data: bytes = b""
    is_new: bool = False


class _Generator:
    """Sends one request again and again."""

    def __init__(self, port: int, request: bytes, ended: Callable[[float], None]) -> None:
        self.answers: list[Answer] = []
        self.open: dict[int, _Open] = {}
        self._port, self._request, self._ended = port, request, ended
        self._idle: list[socket.socket] = []
        self._poll = select.epoll()

    def begin(self, due: float) -> None:
        """Send a request on a connection that is free, or on a new one."""
        if self._idle:
            connection = self._idle.pop()
            self.open[connection.fileno()] = visit = _Open(connection, due)
            self._advance(visit, select.EPOLLOUT)
        else:
            connection = self._connect()
            self.open[connection.fileno()] = _Open(connection, due, is_new=True)

    def turn(self) -> None:
        """Do what can be done."""
        for descriptor, event in self._poll.poll(_WAIT_S):
            visit = self.open.get(descriptor)
            if visit is None:
                self._poll.unregister(descriptor)  # the server has closed an idle connection
                self._idle = [item for item in self._idle if item.fileno() != descriptor]
            else:
                self._advance(visit, event)

    def give_up(self, older_than: float) -> None:
        """Note those that got no answer in all the time that anybody would wait."""
        for visit in [visit for visit in self.open.values() if visit.due < older_than]:
            self._end(visit, Answer(NO_ANSWER), keeps=False)

    def close(self) -> None:
        """Let go of everything."""
        for connection in (*self._idle, *(visit.connection for visit in self.open.values())):
            connection.close()
        self._poll.close()

    def _connect(self) -> socket.socket:
        connection = socket.socket()
        connection.setblocking(False)  # noqa: FBT003 - the name says it
        connection.connect_ex(("127.0.0.1", self._port))
        self._poll.register(connection, select.EPOLLIN | select.EPOLLOUT)
        return connection

    def _advance(self, visit: _Open, event: int) -> None:
        try:
            if event & select.EPOLLOUT:
                visit.connection.send(self._request)
                if visit.is_new:
                    self._poll.modify(visit.connection, select.EPOLLIN)
            if event & ~select.EPOLLOUT:
                self._receive(visit)
        except ConnectionRefusedError:
            self._end(visit, Answer(REFUSED), keeps=False)
        except OSError:
            self._end(visit, Answer(NO_ANSWER), keeps=False)

    def _receive(self, visit: _Open) -> None:
        chunk = visit.connection.recv(_CHUNK)
        visit.data += chunk
        found = answer_in(visit.data)
        if found is not None:
            answer, closes = found
            answer.body = b""
            answer.head = answer.head if not answer.is_good else b""
            self._end(visit, answer, keeps=not closes)
        elif not chunk:
            self._end(visit, Answer(NO_ANSWER), keeps=False)

    def _end(self, visit: _Open, answer: Answer, *, keeps: bool) -> None:
        now = time.monotonic()
        answer.began, answer.seconds = visit.due, now - visit.due
        self.answers.append(answer)
        del self.open[visit.connection.fileno()]
        if keeps:
            self._idle.append(visit.connection)
        else:
            self._poll.unregister(visit.connection)
            visit.connection.close()
        self._ended(now)


def _drive_open(port: int, request: bytes, rate: float, seconds: float) -> list[Answer]:
    generator = _Generator(port, request, lambda _: None)
    start, sent, count = time.monotonic(), 0, int(rate * seconds)
    while sent < count or generator.open:
        now = time.monotonic()
        while sent < min(count, (now - start) * rate):
            generator.begin(start + sent / rate)
            sent += 1
        generator.turn()
        if now > start + seconds:
            generator.give_up(now - PATIENCE_S)
    generator.close()
    return generator.answers


def _drive_closed(port: int, request: bytes, clients: int, seconds: float) -> list[Answer]:
    ends = time.monotonic() + seconds

    def again(now: float) -> None:
        if now < ends:
            generator.begin(now)

    generator = _Generator(port, request, again)
    for _ in range(clients):
        generator.begin(time.monotonic())
    while generator.open:
        generator.turn()
        generator.give_up(time.monotonic() - PATIENCE_S)
    generator.close()
    return generator.answers


class Load:
    """Runs generators. `with` ends their process."""

    def __init__(self, port: int) -> None:
        """Start a process that has nothing of this one's."""
        self._port = port
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._pool.shutdown()

    async def open_loop(self, request: bytes, *, rate: float, seconds: float) -> Tally:
        """Ask so many times a second, whatever becomes of it."""
        return await self._run(partial(_drive_open, self._port, request, rate, seconds))

    async def closed_loop(self, request: bytes, *, clients: int, seconds: float) -> Tally:
        """Let clients ask one after the other, each waiting for its answer."""
        return await self._run(partial(_drive_closed, self._port, request, clients, seconds))

    async def _run(self, drive: Callable[[], list[Answer]]) -> Tally:
        return Tally(await asyncio.get_running_loop().run_in_executor(self._pool, drive))
