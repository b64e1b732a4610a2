"""uvicorn's server and its supervisor of several processes, with what a deployment needs besides.

A stop makes readiness fail first, serves on for a moment, and tells clients to leave; processes end when their supervisor has.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import structlog
from uvicorn import Server
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Process

from fastapi_application.cli.exporter import forget_process
from fastapi_application.core.config import get_settings
from fastapi_application.core.lifecycle import begin_draining

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uvicorn import Config

_TICK_S = 0.1
_HANG_S = 10.0
_START_S = 30.0
_STOP_S = 28.0
"""Longer than a process drains, finishes and closes."""
_DRAIN_STEP_S = 0.05
_ACCEPT_PATIENCE_S = 0.01
_UNACKED = slice(24, 28)
"""In Linux' `tcp_info`: of a listening socket, the length of its queue."""
MOST_ACCEPTED = 64
"""At once: each of them asks something, and the turn shall end."""
_logger = structlog.get_logger(__name__)


class DrainingServer(Server):
    """A server that takes new connections quickly when it is busy, and says that it will stop before it does.

    libuv accepts one connection in each turn of the loop. While a turn takes long, new clients would wait for seconds before
    anybody could even refuse them; so what still waits after a moment is taken by a second reader of the same port: of several
    processes each takes its share. In calm times libuv is quicker, and nobody who wakes first takes all.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self.watch(sockets or [])

    def watch(self, listeners: Sequence[socket.socket]) -> None:
        """Take those who wait at these ports for long."""
        self._more = [listener.dup() for listener in listeners]
        self._accepting: set[asyncio.Task[Any]] = set()
        for more in self._more:
            more.settimeout(0)
            self._look(more)

    def stop_watching(self) -> None:
        """Leave the ports to others."""
        listeners, self._more = self._more, []
        for listener in listeners:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()

    def _look(self, listener: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(listener, self._look_soon, listener)

    def _look_soon(self, listener: socket.socket) -> None:
        """Somebody waits; see in a moment whether anybody still does."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        loop.call_later(_ACCEPT_PATIENCE_S, self._accept_share, listener)

    def _accept_share(self, listener: socket.socket) -> None:
        if listener not in self._more:
            return
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):  # taken by others
            for _ in range(share_of(backlog_of(listener), self.config.workers)):
                connection, _ = listener.accept()
                connection.settimeout(0)
                task = loop.create_task(loop.connect_accepted_socket(self._protocol, connection))
                self._accepting.add(task)
                task.add_done_callback(self._accepted)
        self._look(listener)

    def _accepted(self, task: asyncio.Task[Any]) -> None:
        self._accepting.discard(task)
        if not task.cancelled():
            task.exception()  # a client that has gone at once

    def _protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then finish what is in flight and close."""
        begin_draining()
        # In place: requests in flight hold this very list.
        self.server_state.default_headers.append((b"connection", b"close"))
        _logger.info("draining", connections=len(self.server_state.connections))
        ends = asyncio.get_running_loop().time() + get_settings().server.drain_s
        while asyncio.get_running_loop().time() < ends and not self.force_exit:  # noqa: ASYNC110 - uvicorn has a flag, no event
            await asyncio.sleep(_DRAIN_STEP_S)
        self.stop_watching()
        await super().shutdown(sockets)


def backlog_of(listener: socket.socket) -> int | None:
    """Return how many clients wait to be accepted; None where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return None
    state: bytes = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACKED.stop)
    return int.from_bytes(state[_UNACKED], sys.byteorder)


def share_of(waiting: int | None, processes: int) -> int:
    """Return how many of those who wait one of the processes takes now."""
    return MOST_ACCEPTED // processes if waiting is None else min(MOST_ACCEPTED, -(-waiting // processes))


def _context(*, anew: bool) -> Any:
    """Return how processes are made: forked from one that has imported everything, or `anew` from the files of today."""
    if anew or "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fastapi_application.cli.prepared"])
    return context


class _Worker(Process):
    """A process that serves."""

    def __init__(self, config: Config, sockets: list[socket.socket], *, anew: bool) -> None:
        """Start nothing yet."""
        super().__init__(config, sockets)
        self.process = _context(anew=anew).Process(target=self.target, args=(sockets,))
        self.has_started = False
        self._asked_at: float | None = None

    @property
    def server(self) -> Server:
        """The server inside the process."""
        if self._server is None:
            self._server = DrainingServer(self.config)
        return self._server

    def look(self) -> str | None:
        """Ask whether it is well, without waiting; return what is wrong with it."""
        if not self.process.is_alive():
            return "died"
        now = time.monotonic()
        try:
            if self.parent_conn.poll():
                self.has_started = self.parent_conn.recv() or self.has_started
                self._asked_at = None
            if self._asked_at is None:
                self.parent_conn.send(b"ping")
                self._asked_at = now
        except (OSError, EOFError):
            return "died"
        return "hangs" if now - self._asked_at > _HANG_S else None

    def always_pong(self) -> None:
        """Answer the supervisor, and end with it: nobody would start this process again, or stop it."""
        self.parent_conn.close()  # only the supervisor holds it now: when it ends, so does what comes from there
        try:
            super().always_pong()
        except (EOFError, OSError):
            _logger.warning("supervisor_gone")
            os.kill(os.getpid(), signal.SIGTERM)


class Supervisor:
    """Keeps processes running: one that died or hangs is replaced, SIGHUP replaces all of them one by one."""

    def __init__(self, config: Config, sockets: list[socket.socket]) -> None:
        """Start nothing yet."""
        self._config = config
        self._sockets = sockets
        self._workers: list[_Worker] = []
        self._signals: list[int] = []
        self._is_stopping = False
        self._has_served = False
        self._anew = False

    def run(self) -> bool:
        """Serve until a signal comes; false when no process could start."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _: self._signals.append(number))
        self._workers = [self._start() for _ in range(self._config.workers)]
        while not self._is_stopping:
            time.sleep(_TICK_S)
            self._handle_signals()
            if not self._is_stopping and not self._look_after():
                break
        self._stop()
        return self._is_stopping or self._has_served

    def _start(self) -> _Worker:
        worker = _Worker(self._config, self._sockets, anew=self._anew)
        worker.start()
        return worker

    def _handle_signals(self) -> None:
        while self._signals and not self._is_stopping:
            number = self._signals.pop(0)
            if number == signal.SIGHUP:
                self._replace_all()
            else:
                self._is_stopping = True

    def _look_after(self) -> bool:
        """Replace who needs it; false if the application cannot start at all."""
        for index, worker in enumerate(self._workers):
            state = worker.look()
            self._has_served = self._has_served or worker.has_started
            if state is None:
                continue
            _end(worker, by_force=True)
            if worker.exitcode == STARTUP_FAILURE and not self._has_served:
                return False
            _logger.error("process_replaced", pid=worker.pid, reason=state, status=worker.exitcode)
            self._workers[index] = self._start()
        return True

    def _replace_all(self) -> None:
        """Let each new process serve before an old one leaves. They read the code anew: it may be another version."""
        self._anew = True
        for index, old in enumerate(self._workers):
            new = self._start()
            if not self._becomes_ready(new):
                _end(new, by_force=True)
                _logger.error("replacement_failed", kept=old.pid)
                return
            self._workers[index] = new
            _end(old)

    def _becomes_ready(self, worker: _Worker) -> bool:
        ends = time.monotonic() + _START_S
        while time.monotonic() < ends and not (set(self._signals) - {signal.SIGHUP}):
            if worker.look() is not None:
                return False
            if worker.has_started:
                return True
            time.sleep(_TICK_S)
        return False

    def _stop(self) -> None:
        """Let go of the port, so that it closes with the last process, and wait for all of them."""
        for listener in self._sockets:
            listener.close()
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            _end(worker)


def _end(worker: _Worker, *, by_force: bool = False) -> None:
    """Stop a process and forget what it said of itself."""
    if by_force:
        worker.kill()
    else:
        worker.terminate()
    worker.process.join(_STOP_S)
    if worker.exitcode is None:
        worker.kill()
        worker.join()
    if worker.pid is not None:
        forget_process(worker.pid)
