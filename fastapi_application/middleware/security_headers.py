"""Headers that tell browsers what this API is not for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from fastapi_application.core.config import Settings

API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "content-security-policy": API_POLICY,
}
_ONE_YEAR_S = 31_536_000


class SecurityHeadersMiddleware:
    """Adds each header that an answer has not set itself (the pages of the documentation have a policy of their own)."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        """Wrap the application; HSTS only where the public address is https, the worker's process id only where asked for."""
        self.app = app
        headers = dict(_HEADERS)
        if settings.app.public_url.startswith("https://"):
            headers["strict-transport-security"] = f"max-age={_ONE_YEAR_S}; includeSubDomains"
        if settings.app.debug_headers:
            headers["x-worker"] = str(os.getpid())
        self.headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self.names = frozenset(name for name, _ in self.headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self.complete(message["headers"])
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def complete(self, headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the headers of an answer with those that it has not set itself."""
        set_already = [name for name, _ in headers if name in self.names]
        missing = [header for header in self.headers if header[0] not in set_already] if set_already else self.headers
        return [*headers, *missing]
