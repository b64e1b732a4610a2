"""Runs the benchmark and prints its tables: `make bench`, `make bench BENCH_ARGS=--full`.

The server under test has core 0 for itself; the generator, Redis and PostgreSQL share core 1. Rounds of the targets are
interleaved, and medians are compared: what else this machine does meets all of them alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from benchmarks.load import Result, drive, request
from fastapi_application.core.config import get_settings
from fastapi_application.local import local_servers
from tests.support.commands import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
START_S = 60
ARTICLE = "/api/v1/articles/concorde"
LIST = "/api/v1/aircraft?country=SU&sort=name"
SEARCH = "/api/v1/aircraft?country=SU&first_flight=1935/1960&sort=-max_speed_kmh"
USUAL = {ARTICLE: ARTICLE, LIST: LIST, SEARCH: "/api/v1/aircraft?country=SU&name=a&sort=speed"}
UNLIMITED = {f"RATE_LIMIT__{name}": "1000000000/60" for name in ("ANONYMOUS", "SEARCH")}
QUICK, FULL = (1.5, 3), (5.0, 5)
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A process under test."""

    port: int
    pid: int

    def cpu_s(self) -> float:
        """Return the processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


@dataclass(frozen=True)
class Round:
    """One measurement."""

    result: Result
    cpu_us: float


@contextmanager
def server(*words: str, **environment: str) -> Iterator[Server]:
    """Run a server on core 0, on a free port."""
    port = free_port()
    cores = sorted(os.sched_getaffinity(0))

    def pin() -> None:
        os.sched_setaffinity(0, {_server_core})

    process = subprocess.Popen(
        [sys.executable, *words, "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=pin if len(cores) > 0 else None,  # noqa: PLW1509 - nothing here has threads yet
    )
    try:
        _wait_for(process, port)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait(30)


_server_core = 0


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{ARTICLE}", timeout=5) as answer:
                answer.read()
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
        else:
            return
    message = f"{process.args!r} did not start"
    raise SystemExit(message)


async def measure(target: Server, path: str, connections: int, seconds: float, **headers: str) -> Round:
    """Drive one round."""
    before = target.cpu_s()
    result = await drive(target.port, [request(path, **headers)], connections, seconds)
    spent = target.cpu_s() - before
    if set(result.statuses) - {200, 304} or not result.latencies_s:
        message = f"{path}: {result.statuses}, {result.errors} errors"
        raise SystemExit(message)
    # The warm-up is in the processor time too: its answers are estimated from the rate.
    answers = len(result.latencies_s) * (seconds + 0.3) / seconds
    return Round(result, spent / answers * 1e6)


def median(rounds: list[Round]) -> tuple[float, float, float, float]:
    """Return requests/s, p50 and p99 (ms) and processor time (µs) of a request."""
    return (
        statistics.median(item.result.per_second for item in rounds),
        statistics.median(item.result.percentile_ms(50) for item in rounds),
        statistics.median(item.result.percentile_ms(99) for item in rounds),
        statistics.median(item.cpu_us for item in rounds),
    )


async def compare(
    title: str, targets: dict[str, tuple[Server, str, dict[str, str]]], connections: int, seconds: float, rounds: int
) -> None:
    """Measure some targets in turn, and print a line for each; ratios are those to the first."""
    found: dict[str, list[Round]] = {name: [] for name in targets}
    for _ in range(rounds):
        for name, (target, path, headers) in targets.items():
            found[name].append(await measure(target, path, connections, seconds, **headers))
    ours = median(found["FrankenJet"])[0]
    for name, measured in found.items():
        rate, p50, p99, cpu = median(measured)
        ratio = "" if name == "FrankenJet" else f"{ours / rate:8.2f}"
        print(f"{title:34} {connections:5} {name:24} {rate:9.0f} {p50:8.2f} {p99:8.2f} {cpu:9.0f} {ratio}", flush=True)


def _head() -> None:
    print(f"{'page':34} {'conns':>5} {'':24} {'req/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'CPU µs':>9}  FrankenJet is … times it")


def run(seconds: float, rounds: int, connections: tuple[int, ...]) -> None:
    """Start everything and measure."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="frankenjet-bench-")))
        os.environ["LOCAL__DIR"] = str(directory / "local")
        os.environ.update(stack.enter_context(local_servers(directory / "local", postgres=True, redis=True)))
        get_settings.cache_clear()
        for command in ("migrate", "seed"):
            subprocess.run([sys.executable, "main.py", command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        log = {"LOG__FILE": str(directory / "log"), **UNLIMITED}
        ours = stack.enter_context(server("main.py", "serve", **log))
        uncached = stack.enter_context(server("main.py", "serve", CACHE__ENABLED="false", **log))
        raw = {
            path: stack.enter_context(server("-m", "benchmarks.serve", "raw", BENCH_BODY=_body(directory, ours, path))) for path in USUAL
        }
        usual = stack.enter_context(server("-m", "benchmarks.serve", "usual"))
        _head()
        for path, title in {ARTICLE: "article", LIST: "aircraft list", SEARCH: "search-like list"}.items():
            for number in connections:
                targets: dict[str, tuple[Server, str, dict[str, str]]] = {
                    "FrankenJet": (ours, path, {}),
                    "raw ASGI": (raw[path], path, {}),
                    "usual stack": (usual, USUAL[path], {}),
                }
                if path == ARTICLE:
                    targets["FrankenJet, 304"] = (ours, path, {"If-None-Match": "*"})
                uvloop.run(compare(f"{title}, cached", targets, number, seconds, rounds))
        for path, title in {ARTICLE: "article", LIST: "aircraft list", SEARCH: "search-like list"}.items():
            targets = {"FrankenJet": (uncached, path, {}), "usual stack": (usual, f"/uncached{USUAL[path]}", {})}
            for number in connections:
                uvloop.run(compare(f"{title}, uncached", targets, number, seconds, rounds))


def _body(directory: Path, target: Server, path: str) -> str:
    """Keep the body of a page in a file, for the raw application."""
    file = directory / f"body-{len(list(directory.glob('body-*')))}"
    with urllib.request.urlopen(f"http://127.0.0.1:{target.port}{path}", timeout=10) as answer:
        file.write_bytes(answer.read())
    return str(file)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="longer rounds, and more of them")
    parser.add_argument("--connections", default="32,128", help="comma separated")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, set(cores[1:2]))  # the servers that this starts stay here too
    else:
        print("This machine has one core: server, generator and databases share it, and the figures say little.")
    globals()["_server_core"] = cores[0]
    seconds, rounds = FULL if arguments.full else QUICK
    run(seconds, rounds, tuple(map(int, arguments.connections.split(","))))


if __name__ == "__main__":
    main()
