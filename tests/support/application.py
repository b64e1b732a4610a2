"""The application under test: the production edge, the real lifespan."""

from __future__ import annotations

import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
from asgi_lifespan import LifespanManager

from fastapi_application.accounts.passwords import hash_password
from fastapi_application.accounts.service import AccountService
from fastapi_application.core.config import get_settings
from fastapi_application.create_fastapi_app import create_fastapi_app
from fastapi_application.crud.action import run_crud_action
from fastapi_application.crud.service import EntityService
from fastapi_application.middleware import wrap_in_edge
from fastapi_application.redis_conf.generations import EVERYTHING
from fastapi_application.redis_conf.link import RedisAwayError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from asyncpg.connection import LoggedQuery
    from fastapi import FastAPI

    from fastapi_application.core.actor import Role
    from fastapi_application.core.config import Settings

COMMENT = "A test makes this change."
PASSWORD = "correct horse battery staple"


KINDS = {service.model.__kind__ for service in EntityService.__subclasses__()}


class CommentingClient(httpx.AsyncClient):
    """A client that says why, wherever that must be said and a test does not say it itself."""

    def build_request(self, method: str, url: Any, **options: Any) -> httpx.Request:
        """Add `comment` to a change of an entity."""
        request = super().build_request(method, url, **options)
        *_, kind, ref = ["", "", *request.url.path.split("/")]
        if method in {"PUT", "PATCH", "DELETE"} and kind in KINDS and ref and "comment" not in request.url.params:
            request.url = request.url.copy_add_param("comment", COMMENT)
        return request


@dataclass
class OutsideWrites:
    """Whether a test has written to the database by a connection of its own since the last request."""

    pending: bool = False

    def note(self, query: LoggedQuery) -> None:
        """Take note of a statement."""
        self.pending = self.pending or not query.query.lstrip().upper().startswith(("SELECT", "EXPLAIN", "SHOW"))


OUTSIDE_WRITES = OutsideWrites()


@dataclass
class Application:
    """A running application, and how to speak to it."""

    fastapi: FastAPI
    transport: httpx.ASGITransport
    address: str | None = field(default=None, kw_only=True)
    """Of a service that runs elsewhere on the same servers: clients speak to that one."""

    def client(self, token: str | None = None, **headers: str) -> httpx.AsyncClient:
        """Return a client; close it, or use it as a context manager."""
        if token:
            headers["Authorization"] = f"Bearer {token}"
        hooks = {"request": [self._notice_what_tests_wrote]}
        if self.address is not None:
            return CommentingClient(base_url=self.address, headers=headers, event_hooks=hooks, timeout=30)
        return CommentingClient(transport=self.transport, base_url="http://test", headers=headers, event_hooks=hooks)

    async def _notice_what_tests_wrote(self, _request: httpx.Request) -> None:
        """A test that writes to the database itself does what a command would do: it ends whatever is kept."""
        if OUTSIDE_WRITES.pending:
            OUTSIDE_WRITES.pending = False
            with contextlib.suppress(RedisAwayError):
                await self.fastapi.state.read_path.generations.advance([EVERYTHING])

    async def create_user(self, email: str, role: Role, *, is_verified: bool = True) -> str:
        """Create an account and return a token of it."""
        hashed = await hash_password(PASSWORD)
        async with self.fastapi.state.session_factory() as session:
            await run_crud_action(session, AccountService(session).create, email, hashed, role, is_verified=is_verified)
        async with self.client() as client:
            answer = await client.post("/api/v1/auth/login", data={"username": email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token


@asynccontextmanager
async def running_application(settings: Settings | None = None, *, outside: str | None = None) -> AsyncIterator[Application]:
    """Start the application on these settings, or on the current ones; clients speak to it, or to the one at `outside`."""
    settings = settings or get_settings()
    app = create_fastapi_app(settings)
    async with LifespanManager(wrap_in_edge(app, settings)) as manager:
        # A bug must show as the answer that a client would get, not as an exception in the test.
        yield Application(app, httpx.ASGITransport(manager.app, raise_app_exceptions=False), address=outside)


def body(answer: httpx.Response, status: int = 200) -> Any:
    """Return the JSON of an answer that has the expected status."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    return answer.json()


def assert_problem(answer: httpx.Response, status: int, code: str) -> Any:
    """Check the one shape of every failure, and return it."""
    document = body(answer, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "instance", "code", "request_id", "errors"} <= set(document)
    assert document["type"] == f"urn:frankenjet:problem:{code}"
    assert (document["status"], document["code"]) == (status, code)
    assert document["request_id"] == answer.headers["x-request-id"]
    return document
