"""The generator of the fault suite counts what really came back."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from faults.client import NO_ANSWER, REFUSED, Client
from faults.load import Load
from tests.support.commands import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LATER = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n"
RUDE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"
CLOSES = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[int]:
    """Run a server that gives these answers in turn, and closes after half of one; yield its port."""
    turn = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turn
        while await reader.read(65536):
            answer, turn = answers[turn % len(answers)], turn + 1
            writer.write(answer)
            if answer in (HALF, CLOSES):
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_an_open_loop_counts_every_answer_for_what_it_is() -> None:
    async with answering(OK, LATER, RUDE, HALF, CLOSES) as port:
        with Load(port) as load:
            tally = await load.open_loop(Client(port).encode("GET", "/"), rate=200, seconds=0.5)
    assert tally.statuses() == {NO_ANSWER: 20, 200: 40, 503: 40}
    assert len(tally.good()) == 40
    assert len(tally.bad()) == 40  # the 503 without Retry-After, and what was cut off
    assert all(answer.seconds > 0 for answer in tally.answers)


async def test_a_closed_loop_has_so_many_requests_under_way() -> None:
    async with answering(OK) as port:
        with Load(port) as load:
            tally = await load.closed_loop(Client(port).encode("GET", "/"), clients=3, seconds=0.2)
    assert set(tally.statuses()) == {200}
    assert len(tally.answers) >= 3


async def test_nobody_there_is_counted_as_that() -> None:
    with Load(port := free_port()) as load:
        tally = await load.open_loop(Client(port).encode("GET", "/"), rate=100, seconds=0.1)
    assert tally.statuses() == {REFUSED: 10}


async def test_who_loses_patience_hangs_up() -> None:
    hung_up = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        hung_up.set()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        client = Client(server.sockets[0].getsockname()[1], patience_s=0.05)
        assert (await client.ask("GET", "/")).status == NO_ANSWER
        await asyncio.wait_for(hung_up.wait(), 30)
