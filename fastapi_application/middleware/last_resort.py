"""An exception that nobody handled becomes a problem document, and the connection stays usable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from starlette.requests import ClientDisconnect

from fastapi_application.core.errors import AppError
from fastapi_application.core.problems import send_problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_logger = structlog.get_logger(__name__)


class LastResortMiddleware:
    """Answers 500 for a bug. Below it are the handlers of expected errors."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        except ClientDisconnect:
            return  # gone while it was sending its body: nobody to answer, and no bug
        except Exception as error:
            if isinstance(error, AppError) and not started:
                await send_problem(send, error, scope["path"])
                return
            await _logger.aexception("unhandled_exception", path=scope["path"][:2048])
            if started:
                raise  # half an answer is out: only closing the connection tells the client
            await send_problem(send, AppError(), scope["path"])
