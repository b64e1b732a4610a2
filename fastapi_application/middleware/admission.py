"""What is refused before anything looks at it: foreign hosts, and requests that are too large."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastapi_application.core.errors import (
    AppError,
    BadRequestError,
    BodyTooLargeError,
    HeadersTooLargeError,
    RouteNotFoundError,
    UriTooLongError,
)
from fastapi_application.core.limits import max_body_bytes
from fastapi_application.core.problems import send_problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_HEADER_BYTES = 16 * 1024
MAX_PATH_BYTES = 2048
MAX_QUERY_BYTES = 8192
# A path is text of which slugs and ids are made; nothing here has a control character in its address.
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ufffd\ud800-\udfff]")


class AdmissionMiddleware:
    """Refuses what no route should have to meet."""

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str]) -> None:
        """Wrap the application. `*` allows every host, `*.example.org` every host below one."""
        self.app = app
        self.allowed_hosts = None if "*" in allowed_hosts else [host.lower() for host in allowed_hosts]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            # The body is not read: the connection cannot be used again.
            await send_problem(send, refusal, scope["path"], close=isinstance(refusal, BodyTooLargeError))
            return
        await self.app(scope, _counted(receive, max_body_bytes(scope["method"], scope["path"])), send)

    def _refusal(self, scope: Scope) -> AppError | None:
        headers = scope["headers"]
        size = declared = 0
        for name, value in headers:
            size += len(name) + len(value)
            if name == b"content-length" and value.isdigit():
                declared = max(declared, int(value))
        if size > MAX_HEADER_BYTES:
            return HeadersTooLargeError()
        if len(scope.get("raw_path") or b"") > MAX_PATH_BYTES or len(scope["query_string"]) > MAX_QUERY_BYTES:
            return UriTooLongError()
        allowed = max_body_bytes(scope["method"], scope["path"])
        if declared > allowed:
            return _too_large(allowed)
        if self.allowed_hosts is not None and not self.is_allowed_host(next((value for name, value in headers if name == b"host"), b"")):
            return BadRequestError("This host is not served here.")
        path = scope["path"]
        is_plain = path.isascii() and path.isprintable()
        return RouteNotFoundError() if not is_plain and _CONTROL.search(path) else None

    def is_allowed_host(self, host: bytes) -> bool:
        """Whether a `Host` is served here."""
        if self.allowed_hosts is None:
            return True
        name = re.sub(r":\d+$", "", host.decode("latin-1")).lower()
        return any(name == allowed or (allowed.startswith("*.") and name.endswith(allowed[1:])) for allowed in self.allowed_hosts)


def _too_large(allowed: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The body may have {allowed} bytes.")


def _counted(receive: Receive, allowed: int) -> Receive:
    """Count the bytes as they come: Content-Length may be missing."""
    total = 0

    async def receive_counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > allowed:
            raise _too_large(allowed)
        return message

    return receive_counted
