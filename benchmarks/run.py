"""Runs the benchmark and prints its tables: `make bench`, `make bench BENCH_ARGS=--full`.

The server under test has the first core for itself; load, Redis and PostgreSQL share the second. Rounds of the targets are
interleaved, and medians are compared: what else this machine does meets all of them alike. Our limits and our access log are on.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.faults import Postgres, show_faults
from benchmarks.load import Result, drive, tool
from benchmarks.memory import show_memory
from benchmarks.servers import ROOT, Server, leave_first_core, server
from benchmarks.sizes import compare_sizes
from fastapi_application.core.config import get_settings
from fastapi_application.local import local_servers
from tests.support.commands import free_port
from tests.support.redis import private_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = {
    "article by slug": "/api/v1/articles/concorde",
    "aircraft list": "/api/v1/aircraft?country=SU&sort=name",
    "search-like list": "/api/v1/aircraft?country=SU&first_flight=1935/1960&sort=-max_speed_kmh",
}
# The usual stack has the same page under its own parameters.
USUAL = {**PAGES, "search-like list": "/api/v1/aircraft?country=SU&name=a&sort=speed"}
OURS, RAW, THE_USUAL, UNCHANGED = "FrankenJet", "raw ASGI", "usual stack", "FrankenJet, 304"
UNLIMITED = {f"RATE_LIMIT__{name}": "1000000000/60" for name in ("ANONYMOUS", "SEARCH")}
LEAST = 0.5
"""Answers per second of who gives none in a round."""
QUICK, FULL = (2.0, 3), (5.0, 7)


@dataclass(frozen=True)
class Target:
    """A page of a server."""

    server: Server
    path: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """One measurement."""

    result: Result
    cpu_us: float


@dataclass(frozen=True)
class Plan:
    """How long, how often, on how many connections."""

    seconds: float
    rounds: int
    connections: tuple[int, ...]


def measure(target: Target, connections: int, seconds: float) -> Round:
    """Drive one round."""
    before = target.server.cpu_s()
    result = drive(target.server.port, target.path, connections, seconds, target.headers)
    spent = target.server.cpu_s() - before
    return Round(result, spent / max(result.answers, 1) * 1e6)


def compare(title: str, targets: dict[str, Target], plan: Plan) -> None:
    """Measure some targets in turn, and print a line for each; its last number says how many times as fast we are."""
    for connections in plan.connections:
        found: dict[str, list[Round]] = {name: [] for name in targets}
        for _ in range(plan.rounds):
            for name, target in targets.items():
                found[name].append(measure(target, connections, plan.seconds))
        for name, rounds in found.items():
            pairs = zip(found[OURS], rounds, strict=True)
            ratio = statistics.median(ours.result.per_second / max(one.result.per_second, LEAST) for ours, one in pairs)
            failures = sum(item.result.failures for item in rounds)
            end = ("" if name == OURS else f"{ratio:8.2f}") + (f"  {failures} failures" if failures else "")
            _print_line(f"{title:26} {connections:5} {name:16}", rounds, end)


def _print_line(start: str, rounds: list[Round], end: str) -> None:
    results = [item.result for item in rounds]
    rate = statistics.median(item.per_second for item in results)
    p50, p99 = (statistics.median(values) for values in ([item.p50_ms for item in results], [item.p99_ms for item in results]))
    cpu = statistics.median(item.cpu_us for item in rounds)
    print(f"{start} {rate:9.0f} {p50:8.2f} {p99:8.2f} {cpu:9.0f} {end}", flush=True)


@contextmanager
def _databases() -> Iterator[Path]:
    """Run PostgreSQL and Redis with the starter encyclopedia; yield a directory for what else there is."""
    with tempfile.TemporaryDirectory(prefix="frankenjet-bench-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        os.environ["LOCAL__DIR"] = str(directory / "local")
        with local_servers(directory / "local", postgres=True, redis=True) as variables:
            os.environ.update(variables)
            get_settings.cache_clear()
            for command in ("migrate", "seed"):
                words = [sys.executable, "main.py", command]
                subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            yield directory


def run(plan: Plan, *, sizes: bool) -> None:
    """Start everything and measure."""
    with ExitStack() as stack:
        directory = stack.enter_context(_databases())
        first = next(iter(PAGES.values()))
        ours = stack.enter_context(_service(directory, first))
        uncached = stack.enter_context(_service(directory, first, CACHE__ENABLED="false"))
        usual = stack.enter_context(server(first, "-m", "benchmarks.serve", "usual"))
        print(f"Driven by {tool()}; {plan.rounds} rounds of {plan.seconds:g} s.")
        print(f"{'page':26} {'conns':>5} {'':16} {'req/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'CPU µs':>9}  FrankenJet is … times it")
        for title, path in PAGES.items():
            (file := directory / "body").write_bytes(ours.body(path))
            with server(path, "-m", "benchmarks.serve", "raw", BENCH_BODY=str(file)) as raw:
                targets = {OURS: Target(ours, path), UNCHANGED: Target(ours, path, {"If-None-Match": "*"}), RAW: Target(raw, path)}
                compare(f"{title}, cached", {**targets, THE_USUAL: Target(usual, USUAL[title])}, plan)
        for title, path in PAGES.items():
            targets = {OURS: Target(uncached, path), THE_USUAL: Target(usual, f"/uncached{USUAL[title]}")}
            compare(f"{title}, uncached", targets, plan)
        if sizes:
            compare_sizes(uncached)


def run_faults() -> None:
    """Start everything, with a Redis that can be frozen, and break it."""
    with ExitStack() as stack:
        directory = stack.enter_context(_databases())
        redis = stack.enter_context(private_redis(directory))
        postgres = Postgres(directory / "local/postgres/data")
        ours = stack.enter_context(_service(directory, PAGES["article by slug"], REDIS__URL=f"redis://127.0.0.1:{redis.port}"))
        show_faults(ours, redis, postgres)


def run_memory() -> None:
    """Start everything and ask for many addresses."""
    with ExitStack() as stack:
        directory = stack.enter_context(_databases())
        ours = stack.enter_context(_service(directory, PAGES["article by slug"]))
        show_memory(ours, os.environ["REDIS__URL"])


def _service(directory: Path, path: str, **settings: str) -> AbstractContextManager[Server]:
    """Return the service as an operator runs it: with limits, the access log and metrics."""
    log = {"LOG__FILE": str(directory / "log"), "METRICS__PORT": str(free_port())}
    return server(path, "main.py", "serve", **log, **UNLIMITED, **settings)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="longer rounds, more of them, and the cost against the number of entries")
    parser.add_argument("--faults", action="store_true", help="only this: freeze and kill Redis and PostgreSQL under load")
    parser.add_argument("--connections", default="32,128", help="comma separated")
    parser.add_argument("--memory", action="store_true", help="only this: ask for 200 000 addresses, each once")
    arguments = parser.parse_args()
    if not leave_first_core():
        print("This machine has one core: server, load and databases share it, and the figures say little.")
    if arguments.faults:
        run_faults()
        return
    if arguments.memory:
        run_memory()
        return
    seconds, rounds = FULL if arguments.full else QUICK
    run(Plan(seconds, rounds, tuple(map(int, arguments.connections.split(",")))), sizes=arguments.full)


if __name__ == "__main__":
    main()
