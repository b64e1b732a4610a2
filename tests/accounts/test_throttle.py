"""Guessing gets slower and slower; whoever owns the account gets in nevertheless."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from fastapi_application.accounts import throttle
from fastapi_application.accounts.links import Link, make_token
from fastapi_application.accounts.models import User
from fastapi_application.core.actor import Role
from fastapi_application.core.config import get_settings
from tests.accounts.requests import ANOTHER_PASSWORD, AUTH, ME, bearer, log_in
from tests.support.application import PASSWORD, assert_problem, body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg
    import httpx

    from tests.support.application import Application

    type Connection = asyncpg.Connection[asyncpg.Record]


WRONG = "wrong"


@pytest.fixture(autouse=True)
async def five_failures(db: Connection, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Throttle as the defaults do, but with a wait that does not end while a slow machine runs a test."""
    monkeypatch.setattr(get_settings().auth, "login_free_failures", 5)
    monkeypatch.setattr(throttle, "FIRST_WAIT_S", 200.0)
    await db.execute("DELETE FROM login_failure")
    yield
    await db.execute("DELETE FROM login_failure")


@pytest.fixture
async def account(application: Application, address: str, db: Connection) -> str:
    """Create an account that has not signed in from anywhere."""
    await application.create_user(address, Role.EDITOR)
    await db.execute('DELETE FROM known_network USING "user" u WHERE u.id = user_id AND email = $1', address)
    return address


async def attempt(client: httpx.AsyncClient, address: str, password: str = WRONG) -> httpx.Response:
    """Try a password."""
    return await client.post(f"{AUTH}/login", data={"username": address, "password": password})


async def fail(client: httpx.AsyncClient, address: str, times: int) -> None:
    """Guess wrongly."""
    for _ in range(times):
        assert_problem(await attempt(client, address), 400, "invalid_credentials")


async def reset_by_mail(client: httpx.AsyncClient, application: Application, address: str, db: Connection) -> None:
    """Set another password with the link that a mail would bring."""
    async with application.fastapi.state.session_factory() as session:
        user = await session.get(User, await db.fetchval('SELECT id FROM "user" WHERE email = $1', address))
    reset = {"token": make_token(Link.RESET, user), "password": ANOTHER_PASSWORD}
    assert (await client.post(f"{AUTH}/reset-password", json=reset)).status_code == 204


async def end_the_wait(db: Connection) -> None:
    """Let the time of all waits pass."""
    await db.execute("UPDATE login_failure SET blocked_until = now() WHERE blocked_until IS NOT NULL")


async def waits(db: Connection) -> list[int]:
    """Return the seconds that counters make wait, rounded."""
    rows = await db.fetch(
        "SELECT round(extract(epoch FROM blocked_until - last_at))::int AS wait FROM login_failure WHERE blocked_until > last_at"
    )
    return [row["wait"] for row in rows]


@pytest.mark.parametrize("is_known", [True, False])
async def test_after_free_failures_the_wait_doubles_for_known_and_unknown_accounts_alike(
    is_known: bool, anonymous: httpx.AsyncClient, account: str, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get_settings().auth, "login_max_wait_s", 2000)
    address = account if is_known else f"nobody-{account}"
    await fail(anonymous, address, 5)
    problem = await attempt(anonymous, address, PASSWORD)
    assert_problem(problem, 429, "login_throttled")
    assert 100 <= int(problem.headers["retry-after"]) <= 200
    for wait in (400, 800, 1600, 2000, 2000):
        await end_the_wait(db)
        await fail(anonymous, address, 1)
        assert await waits(db) == [wait]
        answer = await attempt(anonymous, address.upper())
        assert_problem(answer, 429, "login_throttled")
        assert wait - 100 <= int(answer.headers["retry-after"]) <= wait
        assert await waits(db) == [wait]  # asking during the wait does not prolong it


async def test_the_first_wait_is_a_second(
    anonymous: httpx.AsyncClient, account: str, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(get_settings().auth, "login_free_failures", 2)
    await fail(anonymous, account, 2)
    assert await waits(db) == [1]


async def test_the_right_password_after_the_wait_starts_anew(anonymous: httpx.AsyncClient, account: str, db: Connection) -> None:
    await fail(anonymous, account, 5)
    assert_problem(await attempt(anonymous, account, PASSWORD), 429, "login_throttled")
    await end_the_wait(db)
    await log_in(anonymous, account)
    await fail(anonymous, account, 5)


async def test_failures_are_forgotten_after_a_while(anonymous: httpx.AsyncClient, account: str, db: Connection) -> None:
    await fail(anonymous, account, 4)
    await db.execute("UPDATE login_failure SET last_at = last_at - interval '2 hours'")
    await fail(anonymous, account, 5)


async def test_a_stranger_does_not_keep_the_owner_out_where_the_owner_has_been_before(
    anonymous: httpx.AsyncClient, account: str, db: Connection
) -> None:
    await fail(anonymous, account, 5)
    assert_problem(await attempt(anonymous, account, PASSWORD), 429, "login_throttled")
    identifier = await db.fetchval('SELECT id FROM "user" WHERE email = $1', account)
    await db.execute("INSERT INTO known_network (user_id, network) VALUES ($1, '127.0.0.1')", identifier)
    await log_in(anonymous, account)


async def test_a_reset_lets_the_owner_in_at_once(
    anonymous: httpx.AsyncClient, application: Application, account: str, db: Connection
) -> None:
    await fail(anonymous, account, 5)
    await reset_by_mail(anonymous, application, account, db)
    await log_in(anonymous, account, ANOTHER_PASSWORD)


async def test_of_many_guesses_at_once_no_more_are_answered_than_one_after_the_other(anonymous: httpx.AsyncClient, account: str) -> None:
    answers = await asyncio.gather(*(attempt(anonymous, account) for _ in range(25)))
    counts = Counter(answer.status_code for answer in answers)
    assert counts == {400: 5, 429: 20}


async def test_logins_at_once_with_the_right_password_all_succeed(anonymous: httpx.AsyncClient, account: str) -> None:
    answers = await asyncio.gather(*(attempt(anonymous, account, PASSWORD) for _ in range(12)))
    assert {answer.status_code for answer in answers} == {200}


async def test_a_network_that_guesses_at_many_accounts_has_to_wait_too(
    anonymous: httpx.AsyncClient, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get_settings().auth, "login_free_failures", 1)  # ten for the network
    for index in range(10):
        assert_problem(await attempt(anonymous, f"{index}-{account}"), 400, "invalid_credentials")
    assert_problem(await attempt(anonymous, account, PASSWORD), 429, "login_throttled")


async def test_neighbours_do_not_keep_the_owner_out(anonymous: httpx.AsyncClient, account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_settings().auth, "login_free_failures", 1)  # ten for the network
    await log_in(anonymous, account)
    for index in range(10):
        assert_problem(await attempt(anonymous, f"{index}-{account}"), 400, "invalid_credentials")
    assert_problem(await attempt(anonymous, f"another-{account}"), 429, "login_throttled")
    await log_in(anonymous, account)


async def test_a_reset_forgives_the_owners_own_failures_too(
    anonymous: httpx.AsyncClient, application: Application, account: str, db: Connection
) -> None:
    await log_in(anonymous, account)
    await fail(anonymous, account, 5)
    assert_problem(await attempt(anonymous, account, PASSWORD), 429, "login_throttled")
    await reset_by_mail(anonymous, application, account, db)
    await log_in(anonymous, account, ANOTHER_PASSWORD)


async def test_the_largest_setting_works(anonymous: httpx.AsyncClient, account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_settings().auth, "login_free_failures", 10**9)
    await fail(anonymous, account, 2)


async def test_the_current_password_cannot_be_guessed_with_a_stolen_token(
    application: Application, account: str, anonymous: httpx.AsyncClient
) -> None:
    access = (await log_in(anonymous, account))["access_token"]
    async with application.client(access) as client:
        for _ in range(5):
            answer = await client.patch(ME, json={"password": ANOTHER_PASSWORD, "current_password": "wrong"})
            assert_problem(answer, 400, "invalid_credentials")
        answer = await client.patch(ME, json={"password": ANOTHER_PASSWORD, "current_password": PASSWORD})
        assert_problem(answer, 429, "login_throttled")
        body(await client.get(ME, headers=bearer(access)))
