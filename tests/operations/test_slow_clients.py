"""Connections on which nothing moves come to an end, on a real server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import pytest
import uvicorn

from fastapi_application.middleware import slow_clients
from fastapi_application.middleware.slow_clients import SlowClientsProtocol
from tests.operations.edge import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

LARGE = 64 * 1024 * 1024
PATIENCE_S = 30


async def large(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer more than any buffer of the system holds."""
    size = LARGE if scope["path"] == "/large" else 2
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(size).encode())]})
    await send({"type": "http.response.body", "body": b"x" * size})


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[uvicorn.Server]:
    monkeypatch.setattr(slow_clients, "FIRST_BYTE_S", 0.1)
    monkeypatch.setattr(slow_clients, "READ_ANSWER_S", 0.1)
    config = uvicorn.Config(large, port=0, http=SlowClientsProtocol, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined] # of older versions
    task = asyncio.create_task(server._serve())  # noqa: SLF001 - `serve` would take over the signals of the tests
    await until(lambda: server.started)
    yield server
    server.should_exit = True
    await task


def port_of(server: uvicorn.Server) -> int:
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


async def test_a_client_that_says_nothing_is_cut_off(server: uvicorn.Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()
    await until(lambda: not server.server_state.connections)


async def test_a_client_that_does_not_read_is_cut_off(server: uvicorn.Server) -> None:
    with socket.create_connection(("127.0.0.1", port_of(server))) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: server.server_state.connections)
        await until(lambda: not server.server_state.connections)


async def test_a_client_that_reads_and_then_thinks_is_not(server: uvicorn.Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(2):
            writer.write(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(2) == b"xx"
            await asyncio.sleep(slow_clients.FIRST_BYTE_S * 3)  # longer than either limit, and both are over
    writer.close()
