"""The worker beside `local`: a process that is started again when it dies, and ends with its parent."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from fastapi_application.core.config import PROJECT_ROOT, get_settings
from fastapi_application.core.metrics import DIRECTORY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = (sys.executable, str(PROJECT_ROOT / "main.py"), "worker", "--with-parent")
STOP_S = 30
"""Longer than a worker needs to finish or cut off its jobs."""
_RESTART_S = 1.0
_logger = structlog.get_logger(__name__)


@contextmanager
def companion() -> Iterator[None]:
    """Keep a worker running while the block runs."""
    keeper = _Keeper()
    keeper.thread.start()
    try:
        yield
    finally:
        keeper.end()


class _Keeper:
    """A thread that starts the process and waits for it."""

    def __init__(self) -> None:
        self.thread = threading.Thread(target=self._keep, name="worker", daemon=True)
        self._is_ending = threading.Event()
        # Held while the process is started: an end must not miss it.
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def end(self) -> None:
        """Stop the process, if need be by force."""
        with self._lock:
            self._is_ending.set()
            if self._process is not None:
                self._process.terminate()
        self.thread.join(STOP_S)
        if self.thread.is_alive() and self._process is not None:
            self._process.kill()
            self.thread.join()

    def _keep(self) -> None:
        while (process := self._start()) is not None:
            status = process.wait()
            if process.stdin is not None:
                process.stdin.close()
            if self._is_ending.is_set():
                break
            _logger.warning("worker_ended", status=status)
            self._is_ending.wait(_RESTART_S)

    def _start(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._is_ending.is_set():
                return None
            # Its standard input is a pipe that nobody writes to: it closes when this process is gone, even by SIGKILL.
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                COMMAND, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=_environment()
            )
            return self._process


def _environment() -> dict[str, str]:
    """Return ours, with a port of its own for metrics."""
    port = get_settings().metrics.port
    return {name: value for name, value in os.environ.items() if name != DIRECTORY_VARIABLE} | (
        {} if port is None else {"METRICS__PORT": str(port + 1)}
    )
