"""uvicorn's httptools protocol with a bound on what a client may send without it being a header section or a body.

httptools itself buffers a header of any size (measured: 50 MB). See ADR 0011.
"""

from __future__ import annotations

from asyncio import TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_UNFINISHED_BYTES = 64 * 1024
HEAD_TIMEOUT_S = 20
# A connection that is closed while data come in is reset, and the client may never read why.
LINGER_S = 1.0
_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 24\r\nconnection: close\r\n\r\nThe header is too large."
)


class BoundedHttpToolsProtocol(HttpToolsProtocol):
    """Refuses a request whose header section, chunk header or trailer is over 64 KiB, or whose header section takes too long."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin with nothing unfinished."""
        super().__init__(*args, **kwargs)
        self._unfinished = 0
        self._progressed = False
        self._in_head = False
        self._is_refused = False
        self._timer: TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Parse; count what has led to nothing yet."""
        if self._is_refused:
            return
        self._progressed = False
        super().data_received(data)
        self._unfinished = 0 if self._progressed else self._unfinished + len(data)
        if self._unfinished > MAX_UNFINISHED_BYTES:
            self._refuse()
        elif self._in_head and self._timer is None:
            self._set_timer(HEAD_TIMEOUT_S)

    def on_message_begin(self) -> None:
        """A header section begins."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A header section is whole."""
        self._progressed = True
        self._in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Part of a body has come; its size is the application's affair."""
        self._progressed = True
        super().on_body(body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._stop_timer()
        super().connection_lost(exc)

    def _refuse(self) -> None:
        if not self.transport.is_closing():
            self._is_refused = True
            self.transport.write(_REFUSAL)
            self._set_timer(LINGER_S)

    def _end(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()

    def _set_timer(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self._end)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
