"""The bounds of the HTTP server: what a client may send before it is a request."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from fastapi_application.middleware import http_protocol
from fastapi_application.middleware.http_protocol import MAX_PIPELINED, MAX_UNFINISHED_BYTES, BoundedHttpToolsProtocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send


def start(status: int, *, length: int | None = None, more: list[tuple[bytes, bytes]] | None = None) -> dict[str, Any]:
    """Begin an answer."""
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    return {"type": "http.response.start", "status": status, "headers": headers + (more or [])}


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    """Send a part of a body."""
    return {"type": "http.response.body", "body": body, "more_body": more}


GET = b"GET / HTTP/1.1\r\nHost: test\r\n"
PATIENCE_S = 30
SHAPES: dict[str, list[dict[str, Any]]] = {
    "/two-parts": [start(200, length=4), part(b"ab", more=True), part(b"cd")],
    "/chunked": [start(200), part(b"ab", more=True), part(b"cd")],
    "/unchanged": [start(304), part(b"")],
    "/nothing": [start(204), part(b"")],
    "/closing": [start(200, length=2, more=[(b"Connection", b"close")]), part(b"ok")],
    "/injected": [start(200, length=2, more=[(b"X-Bad", b"a\r\nX-Injected: b")]), part(b"ok")],
    "/bad-name": [start(200, length=2, more=[(b"X Bad", b"a")]), part(b"ok")],
    "/too-short": [start(200, length=9), part(b"ok")],
    "/unfinished": [start(200, length=9)],
    "/silent": [],
}


@pytest.fixture(autouse=True)
def _short_goodbyes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "LINGER_S", 0.1)


async def count_body(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the number of bytes of the body, or in the shape that the path names."""
    assert scope["type"] == "http"
    if scope["path"] in SHAPES:
        for shape in SHAPES[scope["path"]]:
            await send(dict(shape))
        return
    length, more = 0, True
    while more:
        message = await receive()
        length, more = length + len(message.get("body", b"")), message.get("more_body", False)
    text = str(length).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(text)).encode())]})
    await send({"type": "http.response.body", "body": text})


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Serve a small application, and connect to it."""
    loop = asyncio.get_running_loop()
    config = uvicorn.Config(count_body, http=BoundedHttpToolsProtocol, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    state = uvicorn.server.ServerState()
    server = await loop.create_server(lambda: BoundedHttpToolsProtocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        server.close()
        for protocol in list(state.connections):
            protocol.shutdown()
        await server.wait_closed()


async def everything(reader: asyncio.StreamReader) -> bytes:
    """Read until the server closes."""
    async with asyncio.timeout(PATIENCE_S):
        return await reader.read()


async def trickle(writer: asyncio.StreamWriter) -> None:
    """Send fields, more than may be, a few at a time."""
    for _ in range(2 * MAX_UNFINISHED_BYTES // 1024):
        writer.write(b"X-Small: " + b"x" * 1013 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0)


async def body_of_next(reader: asyncio.StreamReader) -> bytes:
    """Read one answer and return its body."""
    async with asyncio.timeout(PATIENCE_S):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        return await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))


async def test_a_header_section_that_is_too_large_is_refused() -> None:
    async with connected() as (reader, writer):
        writer.write(GET + b"X-Large: " + b"x" * 2 * MAX_UNFINISHED_BYTES)
        assert (await everything(reader)).startswith(b"HTTP/1.1 431 ")


async def test_one_that_comes_in_pieces_is_refused_too() -> None:
    async with connected() as (reader, writer):
        writer.write(GET)
        await trickle(writer)
        assert (await everything(reader)).startswith(b"HTTP/1.1 431 ")


async def test_trailers_without_end_are_refused() -> None:
    async with connected() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
        await trickle(writer)
        assert b"HTTP/1.1 431 " in await everything(reader)


async def test_too_many_requests_at_once_are_refused() -> None:
    async with connected() as (reader, writer):
        writer.write((GET + b"\r\n") * (2 * MAX_PIPELINED))
        assert b"HTTP/1.1 400 " in await everything(reader)


async def test_some_requests_at_once_are_answered() -> None:
    async with connected() as (reader, writer):
        writer.write((GET + b"\r\n") * MAX_PIPELINED)
        for _ in range(MAX_PIPELINED):
            assert await body_of_next(reader) == b"0"


@pytest.mark.parametrize("before", [b"", GET + b"\r\n"], ids=["at first", "behind an answer"])
async def test_what_is_no_request_keeps_no_connection(monkeypatch: pytest.MonkeyPatch, before: bytes) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT_S", 0.05)
    async with connected() as (reader, writer):
        if before:
            writer.write(before)
            assert await body_of_next(reader) == b"0"
        writer.write(b"\r\n")
        assert await everything(reader) == b""


async def test_a_header_section_that_takes_too_long_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT_S", 0.05)
    async with connected() as (reader, writer):
        writer.write(GET + b"X-Slow: ")
        assert await everything(reader) == b""


async def test_requests_of_every_honest_shape_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many on one connection, large bodies in pieces and chunks, headers just below the bound, and a pause between requests."""
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT_S", 0.2)
    async with connected() as (reader, writer):
        writer.write((GET + b"\r\n") * 3)
        assert [await body_of_next(reader) for _ in range(3)] == [b"0"] * 3
        writer.write(GET + b"X-Large: " + b"x" * (MAX_UNFINISHED_BYTES - 1024) + b"\r\n\r\n")
        assert await body_of_next(reader) == b"0"
        size = 4 * MAX_UNFINISHED_BYTES
        writer.write(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(4):
            writer.write(b"x" * MAX_UNFINISHED_BYTES)
            await asyncio.sleep(0.01)
        assert await body_of_next(reader) == b"%d" % size
        writer.write(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(200):
            writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
        writer.write(b"0\r\n\r\n")
        assert await body_of_next(reader) == b"204800"
        await asyncio.sleep(0.3)  # longer than a header section may take: none has begun
        writer.write(GET + b"\r\n")
        assert await body_of_next(reader) == b"0"


@pytest.mark.parametrize(
    ("path", "method", "status", "end"),
    [
        ("/", "GET", 200, b"\r\n\r\n0"),
        ("/", "HEAD", 200, b"\r\n\r\n"),
        ("/two-parts", "GET", 200, b"\r\n\r\nabcd"),
        ("/chunked", "GET", 200, b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"),
        ("/unchanged", "GET", 304, b"\r\n\r\n"),
        ("/nothing", "GET", 204, b"\r\n\r\n"),
        ("/closing", "GET", 200, b"connection: close\r\n\r\nok"),
        # What an application gets wrong reaches nobody as if it were right.
        ("/unfinished", "GET", 500, b"Internal Server Error"),
        ("/silent", "GET", 500, b"Internal Server Error"),
    ],
)
async def test_answers_of_every_shape_are_written_as_uvicorn_writes_them(path: str, method: str, status: int, end: bytes) -> None:
    async with connected() as (reader, writer):
        # The second request says that it is the last one, so the server closes.
        last = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        writer.write(last)
        answer = await everything(reader)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        first, again, second = answer[1:].partition(b"HTTP/1.1 ")
        assert first.endswith(end)
        assert b"x-injected" not in first.lower()
        stays_open = status < 400 and path != "/closing"
        assert bool(again) is stays_open
        assert second.endswith(b"\r\n\r\n0") is stays_open


@pytest.mark.parametrize("path", ["/injected", "/bad-name"])
async def test_a_header_that_is_none_is_never_written(path: str) -> None:
    async with connected() as (reader, writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        assert await everything(reader) == b""


async def test_a_body_that_is_shorter_than_announced_ends_the_connection() -> None:
    async with connected() as (reader, writer):
        writer.write(b"GET /too-short HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await everything(reader)).endswith(b"content-length: 9\r\n\r\nok")
