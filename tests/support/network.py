"""Servers that are away, come, go and hang: a port of this machine that behaves as a test asks."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Door:
    """A TCP port: closed at first, then open to a Unix socket, or open and silent."""

    def __init__(self) -> None:
        """Hold a port: nobody listens there, and nobody else can."""
        self.connections = 0
        self._socket = self._bound(0)
        self.port: int = self._socket.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @staticmethod
    def _bound(port: int) -> socket.socket:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        return bound

    async def open(self, target: Path | None = None) -> None:
        """Listen: pass connections on to a Unix socket, or accept them and say nothing."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            self._writers.add(writer)
            if target is None:
                await reader.read()
                return
            inner_reader, inner_writer = await asyncio.open_unix_connection(target)
            self._writers.add(inner_writer)
            with contextlib.suppress(ConnectionError):
                await asyncio.gather(_pipe(reader, inner_writer), _pipe(inner_reader, writer))

        self._server = await asyncio.start_server(serve, sock=self._socket)

    async def close(self) -> None:
        """Cut every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.close()
            for writer in self._writers:
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
            self._writers.clear()
            self._server = None
            self._socket = self._bound(self.port)

    async def remove(self) -> None:
        """Give the port back."""
        await self.close()
        self._socket.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def door() -> AsyncIterator[Door]:
    """Yield a closed door."""
    door = Door()
    try:
        yield door
    finally:
        await door.remove()
