"""Ten times what the service can do, from clients that do not wait."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from faults.client import Client, percentile
from faults.load import Load
from faults.report import Finding
from faults.scenarios import LIVE, OK, scenario
from faults.system import sleep_until

if TYPE_CHECKING:
    from faults.client import Tally
    from faults.system import System

UNCACHED = "/api/v1/aircraft?country=SU,FR&first_flight=1935/1969&sort=-max_speed_kmh&size=20"
TIMES = 10
CLIENTS = 32
LOOK_S = 0.5
MEMORY_GROWTH = 1.25
LATE_GROWTH = 1.05


@dataclass
class _Watch:
    """What is seen of the service while it is overloaded, by somebody who is not part of the load."""

    live: list[tuple[int, float]] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    async def look(self, system: System) -> None:
        """Look until cancelled, each time on a connection of its own."""
        while True:
            status, _, seconds = await asyncio.to_thread(system.get, LIVE)
            self.live.append((status, seconds))
            self.memory.append(system.resident_bytes())
            await asyncio.sleep(LOOK_S)


@scenario
async def overload(system: System, full: bool) -> Finding:
    """An open loop at ten times the capacity of a route that no cache answers."""
    finding = Finding("10 × overload, open loop")
    request = Client(system.port, system.token).encode("GET", UNCACHED)
    with Load(system.port) as load:
        await load.closed_loop(request, clients=CLIENTS, seconds=3)  # connections and plans
        calm = await load.closed_loop(request, clients=1, seconds=2)
        before = await _capacity(load, request)
        memory = system.resident_bytes()
        watch = _Watch()
        watching = asyncio.create_task(watch.look(system))
        began = time.monotonic()
        tally = await load.open_loop(request, rate=before * TIMES, seconds=60 if full else 20)
        lasted = time.monotonic() - began
        watching.cancel()
        ended = time.monotonic()
        finding.recovery_s = await sleep_until(system.is_ready, seconds=10)
        await asyncio.sleep(max(0, ended + 2 - time.monotonic()))
        after = await load.closed_loop(request, clients=1, seconds=2)
        # What else the machine does changes while this runs: the capacity is that of before and after.
        capacity = (before + await _capacity(load, request)) / 2
    _judge(finding, tally, lasted=lasted, capacity=capacity)
    _judge_watch(finding, watch, memory)
    finding.at_most("median latency 2 s after it, of what it was", _median(after) / max(_median(calm), 1e-6), 2)
    return finding


async def _capacity(load: Load, request: bytes) -> float:
    """Return how many a second are answered, when clients wait for their answers."""
    began = time.monotonic()
    tally = await load.closed_loop(request, clients=CLIENTS, seconds=8)
    return len(tally.good()) / (time.monotonic() - began)


def _median(tally: Tally) -> float:
    return percentile(tally.good(), 50)


def _judge(finding: Finding, tally: Tally, *, lasted: float, capacity: float) -> None:
    finding.saw(tally)
    good = tally.good()
    finding.notes.append(f"capacity {capacity:.0f}/s; {len(tally.answers) / lasted:.0f}/s asked, {len(good) / lasted:.0f}/s answered")
    finding.at_least("goodput, of the capacity", len(good) / lasted / capacity, 0.8)
    finding.at_least("asked, of the capacity", len(tally.answers) / lasted / capacity, TIMES * 0.8)
    finding.at_most("p99 of what is answered", percentile(good, 99), 2, " s")
    finding.at_most("p99 of the refusals", percentile([answer for answer in tally.answers if answer.is_polite_refusal], 99), 2, " s")
    finding.at_most("neither good nor 503 with Retry-After", len(tally.bad()), 0)


def _judge_watch(finding: Finding, watch: _Watch, before: int) -> None:
    finding.at_most("live that failed, during it", sum(status != OK for status, _ in watch.live), 0)
    finding.at_most("slowest live, during it", max((seconds for _, seconds in watch.live), default=99), 2, " s")
    half = watch.memory[len(watch.memory) // 2 :]
    finding.at_most("memory at its most, of what it was", max(watch.memory, default=0) / max(before, 1), MEMORY_GROWTH)
    finding.at_most("memory at the end, of half time", half[-1] / max(half[0], 1), LATE_GROWTH)
