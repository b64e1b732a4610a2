"""The gate: places, the queue in which writes stand first, waits that end."""

from __future__ import annotations

import asyncio

import pytest

from fastapi_application.core.errors import ServiceUnavailableError
from fastapi_application.core.gate import STORM_REFUSALS, Gate

FOREVER_S = 60


async def enter(gate: Gate, order: list[str], name: str, *, write: bool) -> None:
    await gate.enter(write=write)
    order.append(name)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_writes_come_first_and_every_place_comes_back() -> None:
    gate, order = Gate(1, 8, FOREVER_S), []  # type: ignore[var-annotated] # names
    await gate.enter(write=False)
    waiting = []
    for name, write in (("read 1", False), ("read 2", False), ("write 1", True), ("write 2", True)):
        waiting.append(asyncio.create_task(enter(gate, order, name, write=write)))
        await settle()
    assert (gate.at_work, gate.waiting, order) == (1, 4, [])
    for _ in range(5):
        gate.leave()
        await settle()
    assert order == ["write 1", "write 2", "read 1", "read 2"]
    assert (gate.at_work, gate.waiting) == (0, 0)
    await asyncio.gather(*waiting)


async def test_reads_are_refused_while_writes_may_still_wait() -> None:
    gate = Gate(1, 4, FOREVER_S)
    await gate.enter(write=True)
    reads = [asyncio.create_task(gate.enter(write=False)) for _ in range(2)]
    await settle()
    with pytest.raises(ServiceUnavailableError) as refusal:
        await gate.enter(write=False)
    assert refusal.value.headers["Retry-After"] == "2"
    writes = [asyncio.create_task(gate.enter(write=True)) for _ in range(2)]
    await settle()
    assert gate.waiting == 4
    with pytest.raises(ServiceUnavailableError):
        await gate.enter(write=True)
    for task in (*reads, *writes):
        task.cancel()
    await asyncio.gather(*reads, *writes, return_exceptions=True)
    assert (gate.at_work, gate.waiting) == (1, 0)


async def test_a_wait_ends() -> None:
    gate = Gate(1, 4, 0.01)
    await gate.enter(write=False)
    with pytest.raises(ServiceUnavailableError):
        await gate.enter(write=True)
    assert (gate.at_work, gate.waiting) == (1, 0)


async def test_a_turn_given_to_who_has_left_goes_to_the_next() -> None:
    gate = Gate(1, 4, FOREVER_S)
    await gate.enter(write=False)
    gone, stays = (asyncio.create_task(gate.enter(write=False)) for _ in range(2))
    await settle()
    gate.leave()  # to the first, which is cancelled before it can run
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await asyncio.wait_for(stays, FOREVER_S)
    assert (gate.at_work, gate.waiting) == (1, 0)


async def test_a_storm_needs_a_full_queue_and_refusals() -> None:
    gate = Gate(1, 4, FOREVER_S)
    await gate.enter(write=False)
    reads = [asyncio.create_task(gate.enter(write=False)) for _ in range(2)]
    await settle()
    assert not gate.is_storm()
    for _ in range(STORM_REFUSALS):
        gate.note_refusal()
    assert gate.is_storm()
    gate.leave()
    await settle()
    assert not gate.is_storm()
    gate.leave()
    await asyncio.gather(*reads)
