"""The access log of a busy server: JSON lines, written together ten times a second instead of one by one."""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

FLUSH_S = 0.1
# Small enough to stay in memory that the process has: a thousand lines of their own cost 2 µs each in page faults.
MAX_BYTES = 64 * 1024
_AS_STRUCTLOG = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z
_active: LineBuffer | None = None


class LineBuffer:
    """Lines of one shape on their way to the handler's stream. Lost only with the process, at most a tenth of a second of them."""

    def __init__(self, logger: str, write: Callable[[str], None]) -> None:
        """Write by a function that takes whole lines."""
        self._write = write
        self._fixed = {"event": "response", "logger": logger, "level": "info"}
        self._lines = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, line: dict[str, Any], request_id: str) -> None:
        """Add the line of one answer."""
        line |= self._fixed
        line["request_id"] = request_id
        line["timestamp"] = datetime.now(UTC)
        try:
            self._lines += orjson.dumps(line, option=_AS_STRUCTLOG)
        except TypeError:  # a lone surrogate in a path: the line must not be lost for it
            line["path"] = line["path"].encode(errors="replace").decode()
            self._lines += orjson.dumps(line, option=_AS_STRUCTLOG)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)
        if len(self._lines) >= MAX_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what there is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lines:
            text = self._lines.decode()
            self._lines.clear()
            self._write(text)


def use_line_buffer(handler: logging.Handler | None, logger: str) -> None:
    """Send access lines past the formatter of a handler of JSON lines; None: as every other line."""
    global _active  # noqa: PLW0603 - like the logging configuration that it is part of
    if handler is None:
        _active = None
        return

    def write(text: str) -> None:
        """Hand over whole lines as one record, in the handler's lock."""
        handler.acquire()
        try:
            if isinstance(handler, logging.handlers.WatchedFileHandler):
                handler.reopenIfNeeded()
            if isinstance(handler, logging.StreamHandler) and (stream := handler.stream or _opened(handler)):
                stream.write(text)
                handler.flush()
        except OSError:
            handler.handleError(logging.LogRecord(logger, logging.INFO, "", 0, "access lines", None, None))
        finally:
            handler.release()

    _active = LineBuffer(logger, write)


def _opened(handler: logging.StreamHandler[Any]) -> Any:
    if isinstance(handler, logging.FileHandler):
        handler.stream = handler._open()  # noqa: SLF001 - what FileHandler.emit does
    return handler.stream


def access_lines() -> LineBuffer | None:
    """Return the buffer, where the log is JSON and requests are logged once."""
    return _active
