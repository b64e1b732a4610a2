"""Faults under load: `make bench BENCH_ARGS=--faults`. Redis and PostgreSQL are frozen, and killed, while readers read."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi_application.local.processes import Residents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.servers import Server
    from tests.support.redis import PrivateRedis

BEFORE_S, FAULT_S, AFTER_S = 3.0, 10.0, 5.0
READERS, SEARCHERS = 32, 4
CACHED = [f"/api/v1/aircraft/{slug}" for slug in ("concorde", "ilyushin-il-2", "tupolev-tu-144", "mikoyan-gurevich-mig-25")]
# Never the same address twice.
_numbers = itertools.count(280)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came, when, after how long."""

    at: float
    took_s: float
    status: int
    is_hit: bool


@dataclass
class Stream:
    """Connections that ask for pages, each again as soon as it has its answer."""

    port: int
    paths: Iterator[str]
    answers: list[Answer] = field(default_factory=list)

    async def run(self) -> None:
        """Ask until cancelled; a connection that breaks counts as a failure."""
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                while True:
                    begun = time.perf_counter()
                    writer.write(f"GET {next(self.paths)} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
                    head = (await reader.readuntil(b"\r\n\r\n")).lower()
                    await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r")[0] or 0))
                    now = time.perf_counter()
                    self.answers.append(Answer(now, now - begun, int(head[9:12]), b"; hit" in head))
            self.answers.append(Answer(time.perf_counter(), 0.0, 0, is_hit=False))
            await asyncio.sleep(0.05)


class Postgres:
    """The processes of the embedded server, whichever account runs them."""

    def __init__(self, data: Path) -> None:
        """Find the first of them, and how it was started."""
        (self._leader,) = Residents(data, "postgres", pid_file=data / "postmaster.pid").leaders()
        process = Path(f"/proc/{self._leader}")
        self._command = process.joinpath("cmdline").read_bytes().decode().split("\0")[:-1]
        self._owner, self._directory = process.stat(), os.readlink(process / "cwd")  # noqa: PTH115 - a link of the kernel's

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of them."""
        children = Path(f"/proc/{self._leader}/task/{self._leader}/children").read_text().split()
        for pid in (self._leader, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def start(self) -> None:
        """Start it again as it was."""
        own = {} if os.getuid() == self._owner.st_uid else {"user": self._owner.st_uid, "group": self._owner.st_gid, "extra_groups": []}
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._leader = subprocess.Popen(self._command, cwd=self._directory, start_new_session=True, **own, **quiet).pid  # type: ignore[call-overload]


def show_faults(server: Server, redis: PrivateRedis, postgres: Postgres) -> None:
    """Print what readers met before, during and after each fault."""
    print(f"{'fault':20} {'pages':9} {'':7} {'answers':>8} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}  failures")

    def kill_postgres() -> None:
        postgres.signal(signal.SIGKILL)

    faults: list[tuple[str, Callable[[], None], Callable[[], None]]] = [
        ("Redis frozen", redis.freeze, redis.thaw),
        ("Redis killed, empty", redis.kill, redis.start),
        ("PostgreSQL frozen", lambda: postgres.signal(signal.SIGSTOP), lambda: postgres.signal(signal.SIGCONT)),
        ("PostgreSQL killed", kill_postgres, postgres.start),
    ]
    for title, begin, end in faults:
        asyncio.run(_one(title, server, begin, end))


async def _one(title: str, server: Server, begin: Callable[[], None], end: Callable[[], None]) -> None:
    streams = {
        "cached": Stream(server.port, itertools.cycle(CACHED)),
        "uncached": Stream(server.port, (f"/api/v1/aircraft?size=1&page={n % 280 + 1}{'&' * (n // 280)}" for n in _numbers)),
    }
    tasks = [asyncio.create_task(streams["cached"].run()) for _ in range(READERS)]
    tasks += [asyncio.create_task(streams["uncached"].run()) for _ in range(SEARCHERS)]
    try:
        await asyncio.sleep(BEFORE_S)
        begun = time.perf_counter()
        begin()
        await asyncio.sleep(FAULT_S)
        ended = time.perf_counter()
        end()
        await asyncio.sleep(AFTER_S)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for name, stream in streams.items():
        for phase, since, before in (("before", 0.0, begun), ("during", begun, ended), ("after", ended, float("inf"))):
            _print(title, name, phase, [answer for answer in stream.answers if since <= answer.at < before])
    hits = [answer.at - ended for answer in streams["cached"].answers if answer.at > ended and answer.is_hit]
    served = [answer.at - ended for answer in streams["uncached"].answers if answer.at > ended and answer.status == 200]  # noqa: PLR2004
    print(
        f"{title:20} back: cached pages {min(hits, default=float('nan')):.2f} s, uncached {min(served, default=float('nan')):.2f} s",
        flush=True,
    )


def _print(title: str, name: str, phase: str, answers: list[Answer]) -> None:
    took = sorted(answer.took_s * 1000 for answer in answers) or [0.0]
    p50, p99 = (took[int((len(took) - 1) * part)] for part in (0.5, 0.99))
    failures = Counter(answer.status or "connection" for answer in answers if answer.status != 200)  # noqa: PLR2004
    print(f"{title:20} {name:9} {phase:7} {len(answers):8} {p50:8.1f} {p99:8.1f} {took[-1]:8.1f}  {dict(failures) or 'none'}", flush=True)
