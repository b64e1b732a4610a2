"""One line when a request comes (DEBUG) and one when its answer is out (INFO)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import structlog

from fastapi_application.core import metrics
from fastapi_application.core.client import client_address
from fastapi_application.core.line_buffer import access_lines
from fastapi_application.core.request_id import request_id_var
from fastapi_application.core.tracing import provider

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from fastapi_application.core.config import Network
    from fastapi_application.middleware.route_names import RouteNames

_logger = structlog.get_logger("fastapi_application.access")
CLIENT_CLOSED = 499


def log_response(line: dict[str, Any], status: int, sent: int, seconds: float, request_id: str) -> None:
    """Log what was answered; `line` says to what."""
    line |= {"status": status, "bytes": sent, "duration_ms": round(seconds * 1000, 2)}
    lines = access_lines() if provider() is None else None  # which knows no ids of traces
    if lines is not None:
        lines.add(line, request_id)
    else:
        _logger.info("response", request_id=request_id, **line)


class AccessLogMiddleware:
    """Logs method, path, status, duration and size; never query strings, headers or bodies."""

    def __init__(self, app: ASGIApp, trusted_proxies: Sequence[Network], names: RouteNames | None = None) -> None:
        """Wrap the application. With the names of its routes, requests are measured too."""
        self.app = app
        self.names = names
        self.trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and log it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        # Nothing was sent: the client has gone, or the server was stopped.
        status, sent = CLIENT_CLOSED, 0

        async def send_and_note(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        line = {"method": scope["method"], "path": scope["path"][:2048], "client": client_address(scope, self.trusted_proxies)}
        if access_lines() is None:
            _logger.debug("request", **line)
        try:
            await self.app(scope, receive, send_and_note)
        finally:
            seconds = time.perf_counter() - started
            log_response(line, status, sent, seconds, request_id_var.get())
            if self.names is not None and metrics.instruments() is not None:
                metrics.request(scope["method"], self.names.of(scope["path"]), status, seconds)
