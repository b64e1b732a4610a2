"""Who a token stands for, as of now: changes of the account count at once, and doubt is never anonymity."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from fastapi_application.accounts.authentication import HashedTokenStrategy
from fastapi_application.core.actor import Role
from fastapi_application.core.config import DatabaseSettings
from fastapi_application.core.db import create_engine, create_session_factory
from tests.support.application import PASSWORD, assert_problem, body
from tests.support.queries import recorded_queries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg
    import httpx

    from tests.conftest import Make
    from tests.support.application import Application

TAGS = "/api/v1/tags"


@pytest.fixture
def address(number: int) -> str:
    """Name an account of this test."""
    return f"authentication-{number}@example.org"


async def test_a_deactivated_account_is_401_at_once_and_back_when_it_is_active_again(
    application: Application, address: str, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    token = await application.create_user(address, Role.EDITOR)
    async with application.client(token) as client:
        body(await client.get(TAGS))
        await db.execute('UPDATE "user" SET is_active = false WHERE email = $1', address)
        for answer in (await client.get(TAGS), await client.post(TAGS, json={}), await client.post("/api/v1/auth/logout")):
            assert_problem(answer, 401, "not_authenticated")
            assert answer.headers["www-authenticate"] == "Bearer"
        await db.execute('UPDATE "user" SET is_active = true WHERE email = $1', address)
        body(await client.get(TAGS))


async def test_a_token_is_valid_until_it_expires(application: Application, address: str, db: asyncpg.Connection[asyncpg.Record]) -> None:
    token = await application.create_user(address, Role.EDITOR)
    expire = """UPDATE access_token SET expires_at = now() + $2::interval
        FROM "user" u WHERE u.id = user_id AND email = $1"""
    async with application.client(token) as client:
        await db.execute(expire.replace("$2", "'1 minute'"), address)
        body(await client.get(TAGS))
        await db.execute(expire.replace("$2", "'-1 millisecond'"), address)
        assert_problem(await client.get(TAGS), 401, "not_authenticated")


async def test_a_change_of_the_role_counts_at_once(application: Application, address: str, db: asyncpg.Connection[asyncpg.Record]) -> None:
    token = await application.create_user(address, Role.READER)
    async with application.client(token) as client:
        assert_problem(await client.post(TAGS, json={}), 403, "forbidden")
        await db.execute("""UPDATE "user" SET role = 'editor' WHERE email = $1""", address)
        assert_problem(await client.post(TAGS, json={}), 422, "validation_error")
        await db.execute("""UPDATE "user" SET role = 'reader', is_superuser = true WHERE email = $1""", address)
        assert_problem(await client.post(TAGS, json={}), 422, "validation_error")


async def test_the_hash_of_a_token_is_not_a_token(
    application: Application, address: str, anonymous: httpx.AsyncClient, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    await application.create_user(address, Role.EDITOR)
    hashed = await db.fetchval('SELECT token FROM access_token JOIN "user" u ON u.id = user_id WHERE email = $1', address)
    for token in (hashed, f"fja_{hashed}"):
        answer = await anonymous.get(TAGS, headers={"Authorization": f"Bearer {token}"})
        assert_problem(answer, 401, "not_authenticated")


async def test_a_token_is_compared_exactly(application: Application, address: str, anonymous: httpx.AsyncClient) -> None:
    token = await application.create_user(address, Role.EDITOR)
    body(await anonymous.get(TAGS, headers={"Authorization": f"bearer {token}"}))  # the scheme has no case
    for wrong in (token.removeprefix("fja_"), token[:-1], f"{token}x", token.swapcase(), f"{token}, x", f"{token} x"):
        answer = await anonymous.get(TAGS, headers={"Authorization": f"Bearer {wrong}"})
        assert_problem(answer, 401, "not_authenticated")


async def test_a_token_costs_one_statement_and_none_is_sent_for_anonymous_writes(
    application: Application, address: str, anonymous: httpx.AsyncClient
) -> None:
    token = await application.create_user(address, Role.READER)
    async with application.client(token) as client:
        with recorded_queries(application.fastapi.state.engine) as statements:
            assert_problem(await client.post(TAGS, json={}), 403, "forbidden")
    assert len(statements) == 1
    with recorded_queries(application.fastapi.state.engine) as statements:
        assert_problem(await anonymous.post(TAGS, json={}), 401, "not_authenticated")
    assert statements == []


async def test_what_an_editor_reads_is_not_for_shared_caches(editor: httpx.AsyncClient, anonymous: httpx.AsyncClient, make: Make) -> None:
    path = f"{TAGS}/{(await make('tags'))['slug']}"
    for client, cache in ((anonymous, "public, no-cache"), (editor, "private, no-store")):
        for answer in (await client.get(path), await client.get(TAGS)):
            assert answer.headers["cache-control"] == cache
            assert answer.headers["vary"] == "Accept, Accept-Encoding, Authorization"


# --- the database is away ---------------------------------------------------------------------------------------------


@pytest.fixture
async def without_database(application: Application) -> AsyncIterator[None]:
    """Point the application at a port where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: nobody else can take it, and it refuses
        engine = create_engine(DatabaseSettings(host="127.0.0.1", port=unused.getsockname()[1]))
        state = application.fastapi.state
        connected, state.session_factory = state.session_factory, create_session_factory(engine)
        yield
        state.session_factory = connected
        await engine.dispose()


def assert_unavailable(answer: httpx.Response) -> None:
    """Check the answer of a service whose database is away."""
    assert_problem(answer, 503, "database_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.usefixtures("without_database")
async def test_without_the_database_a_token_is_503_everywhere(editor: httpx.AsyncClient, anonymous: httpx.AsyncClient) -> None:
    assert_unavailable(await editor.get(TAGS))
    assert_unavailable(await editor.get(f"{TAGS}/x"))
    assert_unavailable(await editor.post(TAGS, json={"name": "T"}))
    assert_unavailable(await editor.delete(f"{TAGS}/x", headers={"If-Match": '"x"'}))
    assert_unavailable(await editor.post("/api/v1/auth/logout"))
    assert_unavailable(await anonymous.post("/api/v1/auth/login", data={"username": "a@example.org", "password": PASSWORD}))
    # What needs no database to be refused still is.
    assert_problem(await anonymous.post(TAGS, json={"name": "T"}), 401, "not_authenticated")


@pytest.mark.parametrize("error", [ConnectionRefusedError, TimeoutError, OSError])
async def test_a_failing_look_up_of_the_token_is_503_and_never_an_anonymous_answer(
    error: type[Exception], editor: httpx.AsyncClient, anonymous: httpx.AsyncClient, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{TAGS}/{(await make('tags'))['slug']}"

    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(HashedTokenStrategy, "read_session", fail)
    for answer in (await editor.get(path), await editor.get(TAGS), await editor.head(path), await editor.post(TAGS, json={"name": "T"})):
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
    body(await anonymous.get(path))  # the database itself is there
