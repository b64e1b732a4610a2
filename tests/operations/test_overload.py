"""Overload and deadlines, over HTTP and the real edge."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from fastapi_application.core.gate import STORM_REFUSALS, Gate
from fastapi_application.middleware import overload
from fastapi_application.middleware.overload import StormMiddleware
from tests.operations.edge import POST, Slow, behind_the_edge, client_of, edge_around, until
from tests.support.application import assert_problem

if TYPE_CHECKING:
    import httpx
    from starlette.types import Message


def assert_shed(answer: httpx.Response) -> None:
    assert_problem(answer, 503, "overloaded")
    assert answer.headers["retry-after"] == "2"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_no_more_than_the_places_are_at_work_and_the_rest_is_refused() -> None:
    slow = Slow()
    async with behind_the_edge(slow, concurrency=3, queue=8, queue_wait_s=30) as client:
        reads = [asyncio.create_task(client.get("/slow")) for _ in range(20)]
        await until(lambda: sum(task.done() for task in reads) == 13)
        for task in reads:
            if task.done():
                assert_shed(task.result())
        writes = [asyncio.create_task(client.post("/slow")) for _ in range(6)]
        await until(lambda: sum(task.done() for task in writes) == 2)
        slow.open.set()
        statuses = sorted(answer.status_code for answer in await asyncio.gather(*reads, *writes))
    assert statuses == [200] * 11 + [503] * 15
    assert slow.most_at_work == 3


async def test_health_is_never_refused() -> None:
    slow = Slow()
    async with behind_the_edge(slow, concurrency=1, queue=2, queue_wait_s=30) as client:
        reads = [asyncio.create_task(client.get("/slow")) for _ in range(30)]
        await until(lambda: sum(task.done() for task in reads) == 28)
        assert (await client.get("/api/v1/health/live")).status_code == 200
        slow.open.set()
        await asyncio.gather(*reads)


async def test_who_waits_too_long_is_refused() -> None:
    slow = Slow()
    async with behind_the_edge(slow, concurrency=1, queue=8, queue_wait_s=0.02) as client:
        first = asyncio.create_task(client.get("/slow"))
        await until(lambda: slow.at_work == 1)
        assert_shed(await client.post("/slow"))
        slow.open.set()
        assert (await first).status_code == 200


async def test_the_deadline_answers_and_gives_the_place_back() -> None:
    slow = Slow()
    async with behind_the_edge(slow, concurrency=1, queue=2, deadline_s=0.05) as client:
        assert_shed(await client.get("/slow"))
        await until(lambda: slow.cancelled == 1)
        assert (await client.get("/quick")).status_code == 200


async def test_a_slow_sender_holds_no_place_and_its_time_stands_still() -> None:
    slow = Slow()
    slow.open.set()
    released = asyncio.Event()
    sent: list[Message] = []
    parts = iter([{"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.request", "body": b"b", "more_body": False}])

    async def receive() -> Message:
        part = next(parts)
        if not part["more_body"]:
            await released.wait()
        return part

    async def send(message: Message) -> None:
        sent.append(message)

    edge = edge_around(slow, concurrency=1, queue=2, deadline_s=0.05)
    async with client_of(edge) as client:
        sending = asyncio.ensure_future(edge(POST, receive, send))  # httpx reads bodies whole, so this speaks ASGI
        for _ in range(20):  # longer than the deadline
            assert (await client.get("/quick")).status_code == 200
            await asyncio.sleep(0.01)
        assert not sending.done()
        released.set()
        await sending
    assert sent[0]["status"] == 200


async def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overload, "BODY_PATIENCE_S", 0.02)
    sent: list[Message] = []

    async def receive() -> Message:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return] # never

    async def send(message: Message) -> None:
        sent.append(message)

    await edge_around(Slow(), concurrency=1, queue=2)(POST, receive, send)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


async def test_in_a_storm_reads_are_refused_at_once_but_not_what_the_cache_may_have() -> None:
    gate = Gate(1, 2, 30)
    quick = Slow()
    edge = StormMiddleware(quick, gate, [(b"x-content-type-options", b"nosniff")], lambda scope: scope["path"] == "/quick")
    async with client_of(edge) as client:
        await gate.enter(write=True)
        waiting = asyncio.create_task(gate.enter(write=False))
        await until(lambda: gate.waiting == 1)
        for _ in range(STORM_REFUSALS):
            gate.note_refusal()
        assert_shed(await client.get("/slow", headers={"X-Request-ID": "mine"}))
        assert (await client.get("/quick")).status_code == 200
        assert (await client.get("/api/v1/health/live")).status_code == 200
        quick.open.set()
        assert (await client.post("/slow")).status_code == 200
        waiting.cancel()
