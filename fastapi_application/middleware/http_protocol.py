"""uvicorn's httptools protocol with a bound on what a client may send without it being a header section or a body.

httptools itself buffers a header of any size (measured: 50 MB). And an answer of ours has some fifteen headers, nearly all of
them the same ones: each line is checked and encoded once, and head and body are written together. See ADR 0011.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HEADER_RE, HEADER_VALUE_RE, STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from asyncio import TimerHandle
    from collections.abc import Callable

    from starlette.types import ASGIApp

    type Take = Callable[[Any, Callable[[], None]], bool]

NOT_MODIFIED = 304
MAX_UNFINISHED_BYTES = 64 * 1024
HEAD_TIMEOUT_S = 20
# A connection that is closed while data come in is reset, and the client may never read why.
LINGER_S = 1.0
_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 24\r\nconnection: close\r\n\r\nThe header is too large."
)


def _take_nothing(_cycle: Any, _begin: Callable[[], None]) -> bool:
    return False


@lru_cache(maxsize=1024)
def header_line(name: bytes, value: bytes) -> bytes | None:
    """Encode a header; None for one that uvicorn itself must see, or refuse."""
    name = name.lower()
    if name in (b"connection", b"transfer-encoding") or HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
        return None
    return b"%b: %b\r\n" % (name, value)


class _Cycle(RequestResponseCycle):
    """Holds the head of an answer back until its body is there; whatever is not of that simple shape is left to uvicorn."""

    _start: Any = None

    async def send(self, message: Any) -> None:
        """Write a message, or keep it for the next one."""
        if message["type"] == "http.response.start" and not self.response_started and self._start is None:
            self._start = message
            return
        start, self._start = self._start, None
        if start is None:
            await super().send(message)
        elif self.flow.write_paused or self.disconnected or not self._write_whole(start, message):
            await super().send(start)
            await super().send(message)

    async def send_500_response(self) -> None:
        """Answer for an application that has failed, whatever it had begun to say."""
        self._start = None
        await super().send_500_response()

    def _write_whole(self, start: Any, end: Any) -> bool:
        """Write an answer of two messages at once; False if it is not one."""
        body, method = end.get("body", b""), self.scope["method"]
        if end["type"] != "http.response.body" or end.get("more_body") or not self.keep_alive:
            return False
        lines, length = [STATUS_LINE[start["status"]]], None
        for name, value in (*self.default_headers, *start["headers"]):
            if (line := header_line(name, value)) is None:
                return False
            lines.append(line)
            if name == b"content-length":
                length = value
        if method == "HEAD" or (length != b"%d" % len(body) and (body or start["status"] != NOT_MODIFIED)):
            return False
        lines += (b"\r\n", body)
        self.transport.write(b"".join(lines))
        self.response_started = self.response_complete = True
        self.message_event.set()
        self.on_response()
        return True

    def write_whole(self, status: int, lines: bytes, body: bytes) -> bool:
        """Write status line, encoded headers and body; False, and nothing written, if the client does not take it now."""
        always = [header_line(name, value) for name, value in self.default_headers]
        # While the server drains, it says in each answer that the connection ends, and ends it: that is uvicorn's part.
        if self.flow.write_paused or self.disconnected or not self.keep_alive or None in always:
            return False
        self.transport.write(b"".join((STATUS_LINE[status], *filter(None, always), lines, body)))
        self.response_started = self.response_complete = True
        self.on_response()
        return True


class BoundedHttpToolsProtocol(HttpToolsProtocol):
    """Refuses a request whose header section, chunk header or trailer is over 64 KiB, or whose header section takes too long."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin with nothing unfinished."""
        super().__init__(*args, **kwargs)
        self.access_log = False  # ours knows more; uvicorn formats its line even if nobody reads it
        self._unfinished = 0
        self._progressed = False
        self._in_head = False
        self._is_refused = False
        self._timer: TimerHandle | None = None
        lane = getattr(self.app, "take", None)
        self._take: Take = lane if callable(lane) else _take_nothing

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

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override] # the same type by another name
        """Begin to answer; uvicorn has no place to name the class of its cycles."""
        cycle.__class__ = _Cycle
        begin = partial(super()._start_asgi_task, cycle, app)  # type: ignore[arg-type]
        if not self._take(cycle, begin):
            begin()

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
