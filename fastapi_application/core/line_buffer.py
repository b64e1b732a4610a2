"""The access log of a busy server: JSON lines, written together ten times a second instead of one by one."""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from fastapi_application.core.request_id import request_id_var

if TYPE_CHECKING:
    from collections.abc import Callable

FLUSH_S = 0.1
MAX_LINES = 1000
_active: LineBuffer | None = None


class LineBuffer:
    """Lines of one shape on their way to the handler's stream. Lost only with the process, at most a tenth of a second of them."""

    def __init__(self, logger: str, write: Callable[[str], None]) -> None:
        """Write by a function that takes whole lines."""
        self._write = write
        self._fixed = {"event": "response", "logger": logger, "level": "info"}
        self._lines: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._second = 0
        self._date = ""

    def add(self, line: dict[str, Any]) -> None:
        """Add the line of one answer."""
        line |= self._fixed
        line["request_id"] = request_id_var.get()
        line["timestamp"] = self._timestamp()
        try:
            self._lines.append(orjson.dumps(line))
        except TypeError:  # a lone surrogate in a path: the line must not be lost for it
            self._lines.append(orjson.dumps({key: str(value).encode(errors="replace").decode() for key, value in line.items()}))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)
        if len(self._lines) >= MAX_LINES:
            self.flush()

    def flush(self) -> None:
        """Write what there is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        if lines:
            self._write(b"\n".join(lines).decode())

    def _timestamp(self) -> str:
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._date = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._date}.{int((now - second) * 1_000_000):06d}Z"


def use_line_buffer(handler: logging.Handler | None, logger: str) -> None:
    """Send access lines past the formatter of a handler of JSON lines; None: as every other line."""
    global _active  # noqa: PLW0603 - like the logging configuration that it is part of
    if handler is None:
        _active = None
        return

    def write(text: str) -> None:
        """Hand over whole lines as one record, in the handler's lock and with its terminator."""
        handler.acquire()
        try:
            if isinstance(handler, logging.handlers.WatchedFileHandler):
                handler.reopenIfNeeded()
            if isinstance(handler, logging.StreamHandler) and (stream := handler.stream or _opened(handler)):
                stream.write(text + "\n")
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
