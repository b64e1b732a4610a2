"""structlog, with the records of the standard library through the same processors."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from fastapi_application.core.line_buffer import use_line_buffer
from fastapi_application.core.request_id import request_id_var
from fastapi_application.core.tracing import trace_ids

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

    from fastapi_application.core.config import LogSettings

# Their own lines say less than ours, or too much: statements hold values, access lines hold query strings.
_QUIET = {
    "uvicorn.access": logging.CRITICAL,
    "sqlalchemy.engine": logging.WARNING,
    "asyncio": logging.WARNING,
    "tzlocal": logging.WARNING,
    # The jobs' own lines say what happens; these tell of each wake-up, and of every try to reach a broker that is away.
    "taskiq": logging.CRITICAL,
    "aio_pika": logging.CRITICAL,
    "aiormq": logging.CRITICAL,
}


ACCESS_LOGGER = "fastapi_application.access"


def configure_logging(settings: LogSettings) -> None:
    """Send every log line of the process through structlog, as JSON lines or for people, to stderr or a file."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = _handler(settings)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared(),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(settings)],
        ),
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)
    use_line_buffer(handler if settings.format == "json" and settings.level == "INFO" else None, ACCESS_LOGGER)


def _handler(settings: LogSettings) -> logging.Handler:
    if settings.file is None:
        return logging.StreamHandler(sys.stderr)
    settings.file.parent.mkdir(parents=True, exist_ok=True)
    # Reopened when logrotate has moved it away.
    return logging.handlers.WatchedFileHandler(settings.file, encoding="utf-8", errors="backslashreplace")


def _shared() -> list[Processor]:
    return [
        _add_request_id,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _renderers(settings: LogSettings) -> list[Processor]:
    if settings.format == "human":
        # Where rich is installed, structlog's default prints every local variable of a traceback: secrets, for half a minute.
        colors = settings.file is None and sys.stderr.isatty()
        return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_dumps)]


def _dumps(event: Any, **_: Any) -> str:
    try:
        return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a lone surrogate from a client: the line must not be lost for it
        return orjson.dumps({key: str(value).encode(errors="replace").decode() for key, value in event.items()}).decode()


def _add_request_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    request_id = request_id_var.get()
    if request_id:
        event.setdefault("request_id", request_id)
    event.update(trace_ids())
    return event
