"""X-Request-ID: taken from the client if it is harmless, else made; in every log line, error and answer."""

from __future__ import annotations

import os
import random
import re
from typing import TYPE_CHECKING

from fastapi_application.core.request_id import request_id_var

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = b"x-request-id"
_random = random.Random()  # noqa: S311 - not a secret
os.register_at_fork(after_in_child=_random.seed)
_VISIBLE_ASCII = re.compile(rb"[\x21-\x7e]{1,128}")


class CorrelationIdMiddleware:
    """Gives each request its id."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request under its id."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = request_id_of(scope)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (HEADER, request_id)]
            await send(message)

        token = request_id_var.set(request_id.decode())
        try:
            await self.app(scope, receive, send_with_id)
        finally:
            request_id_var.reset(token)


def request_id_of(scope: Scope) -> bytes:
    """Return the id that the client has given, if it is harmless, else a new one."""
    for name, value in scope["headers"]:
        if name == HEADER and is_harmless(value):
            return bytes(value)
    return new_request_id()


def is_harmless(value: bytes) -> bool:
    """Whether an id of a client may be repeated in headers and log lines."""
    return _VISIBLE_ASCII.fullmatch(value) is not None


def new_request_id() -> bytes:
    """Return a new id: unique, not secret, so without a system call for each request."""
    return b"%032x" % _random.getrandbits(128)
