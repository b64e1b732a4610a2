"""Fixtures: a real PostgreSQL and Redis, a database for each worker, the production stack."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import warnings
from typing import TYPE_CHECKING, Any, Protocol

import asyncpg
import pytest
import structlog
import uvloop

from fastapi_application.core.actor import Role
from fastapi_application.core.config import get_settings
from fastapi_application.local import local_servers, remove_local
from fastapi_application.local.errors import LocalServerError
from tests.factories.registry import FACTORIES
from tests.support.application import OUTSIDE_WRITES, Application, body, running_application
from tests.support.images import image_row
from tests.support.servers import create_database, migrate, mutex, run_directory, use_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import httpx

OUTSIDE = os.environ.get("TEST_ADDRESS")
_SETTINGS = {
    # Longer than any test run: the clients of the session keep their tokens.
    "AUTH__ACCESS_TTL_S": "86400",
    # Tests of other things than guessing may fail to log in as often as they like.
    "AUTH__LOGIN_FREE_FAILURES": "1000000",
    # A slow machine refuses nobody for that; tests of overload have gates of their own.
    "SERVER__QUEUE_WAIT_S": "60",
    # Nobody is limited by accident; tests of limits set their own.
    **{
        f"RATE_LIMIT__{name}": "1000000000/60"
        for name in (
            "ANONYMOUS",
            "READER",
            "EDITOR",
            "MODERATOR",
            "ADMINISTRATOR",
            "SEARCH",
            "LOGIN",
            "REGISTER",
            "PASSWORD_RESET",
            "UPLOAD",
            "MEDIA",
        )
    },
    "ACCESS_TOKEN__RESET_PASSWORD_TOKEN_SECRET": "0123456789abcdef-reset-0123456789abcdef",
    "ACCESS_TOKEN__VERIFICATION_TOKEN_SECRET": "0123456789abcdef-verify-0123456789abcdef",
}


def pytest_configure() -> None:
    """Run on the loop that the service runs on.

    Not by the hook of pytest-asyncio: fixtures of the session would be made anew for each test that is no coroutine.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from Python 3.14 on
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def _log_plainly() -> None:
    """Keep structlog's default from drawing every exception with all of its variables: that takes a minute each."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["level", "event"]),
        ],
    )


@pytest.fixture(scope="session", autouse=True)
def servers() -> Iterator[None]:
    """Run PostgreSQL and Redis for this test run; whichever process leaves last stops them and removes their files.

    With `TEST_ADDRESS` the service under test runs there, on the servers of `DB__*` and `REDIS__*` (`make scale`).
    """
    _log_plainly()
    if OUTSIDE:
        os.environ.update(_SETTINGS)
        yield
        return
    for name in [
        key
        for key in os.environ
        if key.partition("__")[0] in {"DB", "REDIS", "APP", "SERVER", "LOG", "AUTH", "CACHE", "RATE_LIMIT", "STORAGE"} and "__" in key
    ]:
        del os.environ[name]
    directory = run_directory()
    directory.mkdir(mode=0o700, exist_ok=True)
    os.environ.update(_SETTINGS, LOCAL__DIR=str(directory))
    with local_servers(directory, postgres=True, redis=True) as variables:
        os.environ.update(variables)
        get_settings.cache_clear()
        yield
    with contextlib.suppress(LocalServerError):  # another process of this run still uses them, and will do it
        remove_local(directory)


@pytest.fixture(scope="session")
def database(servers: None, worker_id: str) -> str:
    """Create this worker's database, migrated by Alembic."""
    if OUTSIDE:
        return get_settings().db.name
    name = f"test_{worker_id}"
    with mutex(run_directory()):
        create_database(name)
    use_database(name)
    migrate()
    return name


@pytest.fixture(scope="session")
async def application(database: str) -> AsyncIterator[Application]:
    """Run the application of this worker; an outside one has it beside it, for what tests do without HTTP."""
    async with running_application(outside=OUTSIDE) as application:
        yield application


@pytest.fixture(scope="session")
async def anonymous(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    """Speak as the public."""
    async with application.client() as client:
        yield client


def _client_of(role: Role) -> Any:
    @pytest.fixture(scope="session", name=role.value)
    async def client_of(application: Application) -> AsyncIterator[httpx.AsyncClient]:
        token = await application.create_user(f"{role}@example.org", role)
        async with application.client(token) as client:
            yield client

    return client_of


reader = _client_of(Role.READER)
editor = _client_of(Role.EDITOR)
moderator = _client_of(Role.MODERATOR)
administrator = _client_of(Role.ADMINISTRATOR)


@pytest.fixture
async def db(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Look at the database through a connection that the application does not have."""
    settings = get_settings().db
    connection = await asyncpg.connect(
        host=settings.host, port=settings.port, user=settings.user, password=settings.password.get_secret_value(), database=database
    )
    connection.add_query_logger(OUTSIDE_WRITES.note)
    yield connection
    await connection.close()


# In steps, so that a number and some thousands more (each test adds its own) is not the number of a later test.
_numbers = itertools.count(1, 29)
# Far from what tests make of their number (it and some thousands more): no two documents meet in a unique field.
_made = itertools.count(130_000)


@pytest.fixture
def number() -> int:
    """Return a number that no other test of this worker has: names and slugs made of it never meet."""
    return next(_numbers)


class Make(Protocol):
    """Creates an entity of a kind over HTTP."""

    async def __call__(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Return the entity as the API shows it."""


@pytest.fixture
def make(application: Application, editor: httpx.AsyncClient) -> Make:
    """Create entities over HTTP: the least that a kind needs, and the given fields. An image needs a file: here it has none."""

    async def create(kind: str, **fields: Any) -> dict[str, Any]:
        if kind == "images":
            return await image_row(application, **fields)
        document = {**FACTORIES[kind].minimal(next(_made)), **fields}
        created: dict[str, Any] = body(await editor.post(f"/api/v1/{kind}", json=document), 201)
        return created

    return create
