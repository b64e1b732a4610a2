"""A network that can be cut: a TCP port of this machine that passes connections on to a Unix socket, or does not."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Network(StrEnum):
    """What happens to connections."""

    OPEN = "open"
    REFUSING = "refusing"
    SILENT = "silent"


class Proxy:
    """Lives in a thread of its own, so that a busy client does not slow it down."""

    def __init__(self, target: Callable[[], str]) -> None:
        """Listen on a free port, refusing at first.

        Args:
            target: names the Unix socket, asked for each connection: a restarted server has another one.

        """
        self.port = 0
        self._target = target
        self._state = Network.REFUSING
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def set(self, state: Network) -> None:
        """Change the weather; connections that are open meet it too."""
        asyncio.run_coroutine_threadsafe(self._set(state), self._loop).result()

    def close(self) -> None:
        """Cut everything and end."""
        self.set(Network.REFUSING)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

    async def _set(self, state: Network) -> None:
        self._state = state
        if state is Network.OPEN:
            self._flowing.set()
        else:
            self._flowing.clear()
        if state is Network.REFUSING:
            for writer in list(self._writers):
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self._state is Network.REFUSING:
                return
            inner_reader, inner_writer = await asyncio.open_unix_connection(self._target())
            self._writers.add(inner_writer)
            try:
                await asyncio.gather(self._pipe(reader, inner_writer), self._pipe(inner_reader, writer))
            finally:
                self._writers.discard(inner_writer)
                inner_writer.transport.abort()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            await self._flowing.wait()
            writer.write(chunk)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
