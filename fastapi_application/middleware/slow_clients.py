"""The HTTP protocol of the server, with an end to connections on which nothing moves."""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from typing import Any

from fastapi_application.middleware.http_protocol import BoundedHttpToolsProtocol

FIRST_BYTE_S = 20.0
"""How long a new connection may say nothing."""
READ_ANSWER_S = 30.0
"""How long a client may leave the same part of an answer unread."""


class SlowClientsProtocol(BoundedHttpToolsProtocol):
    """Cuts off clients that send nothing at all, and those that do not read what they have asked for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin with no timer."""
        super().__init__(*args, **kwargs)
        self._silence: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Expect something."""
        super().connection_made(transport)
        self._expect(FIRST_BYTE_S)

    def data_received(self, data: bytes) -> None:
        """It speaks."""
        if self._silence is not None and self.cycle is None:
            self._forget()
        super().data_received(data)

    def pause_writing(self) -> None:
        """It reads more slowly than we write."""
        super().pause_writing()
        self._expect(READ_ANSWER_S)

    def resume_writing(self) -> None:
        """It reads."""
        super().resume_writing()
        self._forget()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self._forget()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """Nothing new was asked; a graceful close would wait for ever for an answer that nobody reads."""
        if self.transport.get_write_buffer_size():
            self._cut()
        else:
            super().timeout_keep_alive_handler()

    def _expect(self, seconds: float) -> None:
        self._forget()
        self._silence = self.loop.call_later(seconds, self._cut)

    def _forget(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _cut(self) -> None:
        self._silence = None
        self.transport.abort()
