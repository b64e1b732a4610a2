"""Ten times what the service can do, from clients that do not wait."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from faults.client import Client, closed_loop, open_loop, percentile
from faults.report import Finding
from faults.scenarios import LIVE, OK, scenario
from faults.system import sleep_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from faults.client import Answer
    from faults.system import System

UNCACHED = "/api/v1/aircraft?country=SU,FR&first_flight=1935/1969&sort=-max_speed_kmh&size=20"
TIMES = 10
CLIENTS = 32
MEMORY_GROWTH = 1.25


@scenario
async def overload(system: System, full: bool) -> Finding:
    """An open loop at ten times the capacity of a route that no cache answers."""
    finding = Finding("10 × overload, open loop")
    client = Client(system.port, system.token)
    request = client.encode("GET", UNCACHED)
    ask = _asker(client, request)
    await closed_loop(ask, clients=CLIENTS, seconds=3)  # connections and plans
    calm = await closed_loop(ask, clients=1, seconds=2)
    began = time.monotonic()
    capacity = len((await closed_loop(ask, clients=CLIENTS, seconds=8)).good()) / (time.monotonic() - began)
    memory = system.resident_bytes()
    seconds = 60 if full else 20
    began = time.monotonic()
    load = asyncio.create_task(open_loop(ask, rate=capacity * TIMES, seconds=seconds))
    await asyncio.sleep(seconds / 2)
    status, _, live_s = await asyncio.to_thread(system.get, LIVE)
    tally = await load
    lasted = time.monotonic() - began
    finding.saw(tally)
    good = tally.good()
    finding.notes.append(f"capacity {capacity:.0f}/s; {len(tally.answers) / lasted:.0f}/s asked, {len(good) / lasted:.0f}/s answered")
    finding.at_least("goodput, of the capacity", len(good) / lasted / capacity, 0.8)
    finding.at_most("p99 of what is answered", percentile(good, 99), 2, " s")
    finding.at_most("p99 of the refusals", percentile([answer for answer in tally.answers if answer.is_polite_refusal], 99), 2, " s")
    finding.at_most("neither good nor 503 with Retry-After", len(tally.bad()), 0)
    finding.must("live answers during it", so=status == OK)
    finding.at_most("live, during it", live_s, 2, " s")
    finding.at_most("memory, of what it was", system.resident_bytes() / max(memory, 1), MEMORY_GROWTH)
    await asyncio.sleep(1)
    finding.recovery_s = 1 + await sleep_until(system.is_ready, seconds=10)
    after = await closed_loop(ask, clients=1, seconds=2)
    finding.at_most("median latency after it, of what it was", percentile(after.answers, 50) / max(percentile(calm.answers, 50), 1e-6), 2)
    client.close()
    return finding


def _asker(client: Client, request: bytes) -> Callable[[], Awaitable[Answer]]:
    async def ask() -> Answer:
        return await client.send(request)

    return ask
