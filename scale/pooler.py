"""PgBouncer itself: what the doctor says of it, when it has no connection left, when it is started anew."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING

import asyncpg

from scale.editor import API, sign_in
from scale.system import EMAIL, PASSWORD

if TYPE_CHECKING:
    import httpx

    from scale.report import Report
    from scale.system import ScaledSystem

SERVER_CONNECTIONS = 25
"""`default_pool_size` and `reserve_pool_size` of deploy/base/pgbouncer.yaml."""
LONGEST_S = 6
RECOVERY_S = 10
_OK, _UNAVAILABLE = 200, 503


async def check(system: ScaledSystem, report: Report) -> None:
    """Look at it from all sides."""
    await _ask_doctor(system, report)
    async with await sign_in(system, EMAIL, PASSWORD) as reader:
        await _exhaust(system, reader, report)
        await _restart(system, reader, report)


async def _ask_doctor(system: ScaledSystem, report: Report) -> None:
    said = json.loads(await asyncio.to_thread(system.command, "doctor", "--json"))["checks"]
    found = {finding["name"]: finding["status"] for finding in said}
    wanted = dict.fromkeys(("postgresql", "pooler", "DB__MIGRATION_URL", "schema"), "pass")
    report.must("the doctor finds it well", so=wanted.items() <= found.items(), detail=said)


async def _exhaust(system: ScaledSystem, reader: httpx.AsyncClient, report: Report) -> None:
    """Hold every connection in a transaction that does nothing, as a client that hangs does."""
    holders = await asyncio.gather(*(asyncpg.connect(**system.pooled()) for _ in range(SERVER_CONNECTIONS)))
    try:
        await asyncio.gather(*(holder.execute("BEGIN; SELECT 1", timeout=30) for holder in holders), return_exceptions=True)
        began = time.monotonic()
        answers = await asyncio.gather(*(reader.get(f"{API}/aircraft?size={size}") for size in range(1, 13)))
        seconds = time.monotonic() - began
    finally:
        for holder in holders:
            holder.terminate()
    statuses = sorted({answer.status_code for answer in answers})
    polite = all(answer.status_code == _OK or "retry-after" in answer.headers for answer in answers)
    refused = any(answer.status_code == _UNAVAILABLE for answer in answers)
    report.must(
        "without a free connection: 503 with Retry-After", so=refused and polite and set(statuses) <= {_OK, _UNAVAILABLE}, detail=statuses
    )
    report.must(f"within {LONGEST_S} s", so=seconds < LONGEST_S, detail=seconds)
    await _recovers(reader, report)


async def _restart(system: ScaledSystem, reader: httpx.AsyncClient, report: Report) -> None:
    """End it while readers read."""
    statuses: set[int] = set()
    over = asyncio.Event()

    async def read_on() -> None:
        while not over.is_set():
            statuses.add((await reader.get(f"{API}/aircraft?size=5")).status_code)

    crowd = [asyncio.create_task(read_on()) for _ in range(6)]
    await asyncio.sleep(0.5)
    await asyncio.to_thread(system.stop_pgbouncer)
    await asyncio.sleep(1)
    await asyncio.to_thread(system.start_pgbouncer)
    await _recovers(reader, report)
    over.set()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*crowd)
    report.must("started anew: 200 and 503, nothing else", so=statuses <= {_OK, _UNAVAILABLE} and _OK in statuses, detail=statuses)


async def _recovers(reader: httpx.AsyncClient, report: Report) -> None:
    """Wait until eight requests at once are answered."""
    began = time.monotonic()
    while time.monotonic() - began < RECOVERY_S:
        answers = await asyncio.gather(*(reader.get(f"{API}/aircraft?size=5") for _ in range(8)))
        if all(answer.status_code == _OK for answer in answers):
            break
        await asyncio.sleep(0.1)
    seconds = time.monotonic() - began
    report.must(f"well again within {RECOVERY_S} s", so=seconds < RECOVERY_S, detail=seconds)
