"""Memory against distinct addresses: `make bench BENCH_ARGS=--memory`. Nobody asks for any of them twice."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING

from redis import Redis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.servers import Server

ADDRESSES, STEPS, CONNECTIONS = 200_000, 10, 16
# What readers, crawlers and link decorators make of addresses: lists, entries that are not there, parameters that are unknown.
KINDS = (
    "/api/v1/aircraft?max_speed_kmh.lte={0}.5&size=5",
    "/api/v1/articles/nobody-wrote-this-{0}",
    "/api/v1/aircraft?utm_source=campaign-{0}",
    "/api/v1/articles/concorde?fbclid={0}",
)


def show_memory(server: Server, redis_url: str) -> None:
    """Ask, and print what the process and Redis hold."""
    redis = Redis.from_url(redis_url)
    addresses = (KINDS[number % len(KINDS)].format(number) for number in itertools.count(1000))
    print(f"{'addresses':>10} {'worker MB':>10} {'Redis MB':>10} {'keys':>9} {'req/s':>8}", flush=True)
    _print_line(0, server, redis, 0.0)
    for step in range(1, STEPS + 1):
        begun = time.perf_counter()
        asyncio.run(_ask(server.port, itertools.islice(addresses, ADDRESSES // STEPS)))
        _print_line(step * ADDRESSES // STEPS, server, redis, ADDRESSES / STEPS / (time.perf_counter() - begun))


def _print_line(asked: int, server: Server, redis: Redis, rate: float) -> None:
    status = Path(f"/proc/{server.pid}/status").read_text()
    resident_kb = int(status.partition("VmRSS:")[2].split()[0])
    used = int(redis.info("memory")["used_memory"])
    print(f"{asked:10} {resident_kb / 1024:10.1f} {used / 1024**2:10.1f} {redis.dbsize():9} {rate:8.0f}", flush=True)


async def _ask(port: int, addresses: Iterator[str]) -> None:
    """Ask for each address once."""

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for address in addresses:
            writer.write(f"GET {address} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r")[0] or 0))
        writer.close()

    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
