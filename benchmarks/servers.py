"""The processes under test: on the first core, alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.commands import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
START_S = 120
_TICKS = os.sysconf("SC_CLK_TCK")
_CORES = sorted(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Server:
    """A process under test."""

    port: int
    pid: int

    def cpu_s(self) -> float:
        """Return the processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def body(self, path: str) -> bytes:
        """Ask for a page."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            content: bytes = answer.read()
        return content


def leave_first_core() -> bool:
    """Keep the first core for the server: this process and all that it starts stay on the second; False if there is one only."""
    os.sched_setaffinity(0, set(_CORES[1:2] or _CORES))
    return len(_CORES) > 1


@contextmanager
def server(path: str, *words: str, **environment: str) -> Iterator[Server]:
    """Run a server on the first core, on a free port, and wait until it answers for a path."""
    port = free_port()
    command = ["taskset", "--cpu-list", str(_CORES[0]), sys.executable, *words, "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        running = Server(port, process.pid)
        _wait_for(process, running, path)
        yield running
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(process: subprocess.Popen[bytes], running: Server, path: str) -> None:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            running.body(path)
        except OSError:
            time.sleep(0.1)
        else:
            return
    message = f"{process.args!r} did not start"
    raise SystemExit(message)
