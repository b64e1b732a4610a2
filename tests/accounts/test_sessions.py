"""Sessions: tokens rotate, a copied one ends its family, and an ended one is 401 at its next request."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from fastapi_application.core.actor import Role
from tests.accounts.requests import AUTH, ME, bearer, log_in, refresh, status_of
from tests.support.application import Application, assert_problem, body, running_application

if TYPE_CHECKING:
    import asyncpg
    import httpx

SESSIONS = f"{AUTH}/sessions"


@pytest.fixture
async def account(application: Application, address: str) -> str:
    """Create an account."""
    await application.create_user(address, Role.EDITOR)
    return address


async def test_a_refresh_gives_new_tokens_and_uses_up_the_old_one(anonymous: httpx.AsyncClient, account: str) -> None:
    first = await log_in(anonymous, account)
    answer = await refresh(anonymous, first["refresh_token"])
    second = body(answer)
    assert answer.headers["cache-control"] == "no-store"
    assert set(second) == set(first)
    assert {first["access_token"], first["refresh_token"]}.isdisjoint({second["access_token"], second["refresh_token"]})
    assert await status_of(anonymous, second["access_token"]) == 200
    third = body(await refresh(anonymous, second["refresh_token"]))
    assert await status_of(anonymous, third["access_token"]) == 200


async def test_a_copied_refresh_token_ends_its_family_and_no_other(anonymous: httpx.AsyncClient, account: str) -> None:
    other = await log_in(anonymous, account)
    first = await log_in(anonymous, account)
    second = body(await refresh(anonymous, first["refresh_token"]))
    for _ in range(2):
        assert_problem(await refresh(anonymous, first["refresh_token"]), 401, "refresh_token_reused")
    assert_problem(await refresh(anonymous, second["refresh_token"]), 401, "refresh_token_invalid")
    for token in (first["access_token"], second["access_token"]):
        assert await status_of(anonymous, token) == 401
    assert await status_of(anonymous, other["access_token"]) == 200
    body(await refresh(anonymous, other["refresh_token"]))


async def test_of_fifty_refreshes_at_once_at_most_one_succeeds_and_its_tokens_are_dead(anonymous: httpx.AsyncClient, account: str) -> None:
    tokens = await log_in(anonymous, account)

    async def patiently() -> httpx.Response:
        while True:  # fifty wait for ten connections: on a slow machine some are told to come again
            if (answer := await refresh(anonymous, tokens["refresh_token"])).status_code != 503:
                return answer
            await asyncio.sleep(0.05)

    answers = await asyncio.gather(*(patiently() for _ in range(50)))
    counts = Counter(answer.status_code for answer in answers)
    assert counts == {200: 1, 401: 49}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 401} == {"refresh_token_reused"}
    (winner,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert await status_of(anonymous, winner["access_token"]) == 401
    assert_problem(await refresh(anonymous, winner["refresh_token"]), 401, "refresh_token_invalid")


async def test_what_is_no_refresh_token(anonymous: httpx.AsyncClient, account: str, db: asyncpg.Connection[asyncpg.Record]) -> None:
    tokens = await log_in(anonymous, account)
    for wrong in ("x", tokens["access_token"], tokens["refresh_token"][:-1], tokens["refresh_token"] + "x", "\u00e9"):
        assert_problem(await refresh(anonymous, wrong), 401, "refresh_token_invalid")
    await db.execute("UPDATE refresh_token SET expires_at = now()")
    assert_problem(await refresh(anonymous, tokens["refresh_token"]), 401, "refresh_token_invalid")
    assert await status_of(anonymous, tokens["refresh_token"]) == 401  # not a bearer token


async def test_an_inactive_account_refreshes_nothing(
    anonymous: httpx.AsyncClient, account: str, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    tokens = await log_in(anonymous, account)
    await db.execute('UPDATE "user" SET is_active = false WHERE email = $1', account)
    assert_problem(await refresh(anonymous, tokens["refresh_token"]), 401, "refresh_token_invalid")


async def test_sessions_are_listed_with_what_their_owner_recognises_them_by(anonymous: httpx.AsyncClient, account: str) -> None:
    before = await log_in(anonymous, account, **{"User-Agent": "Old phone"})
    now = await log_in(anonymous, account, **{"User-Agent": "New\ttablet" + "x" * 500})
    items = body(await anonymous.get(SESSIONS, headers=bearer(now["access_token"])))["items"]
    assert {tuple(item) for item in items} == {("id", "device", "address", "created_at", "last_used_at", "expires_at", "current")}
    (current,) = [item for item in items if item["current"]]
    assert current["device"].startswith("Newtablet")
    assert len(current["device"]) == 200
    assert current["address"] == "127.0.0.1"
    (old,) = [item for item in items if item["device"] == "Old phone"]
    answer = await anonymous.delete(f"{SESSIONS}/{old['id']}", headers=bearer(now["access_token"]))
    assert (answer.status_code, answer.headers["cache-control"]) == (204, "no-store")
    assert await status_of(anonymous, before["access_token"]) == 401
    assert_problem(await refresh(anonymous, before["refresh_token"]), 401, "refresh_token_invalid")
    assert_problem(await anonymous.delete(f"{SESSIONS}/{old['id']}", headers=bearer(now["access_token"])), 404, "not_found")


async def test_nobody_ends_the_sessions_of_another(anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, account: str) -> None:
    tokens = await log_in(anonymous, account)
    (own, *_) = body(await anonymous.get(SESSIONS, headers=bearer(tokens["access_token"])))["items"]
    for identifier in (own["id"], uuid.uuid4(), "x"):
        assert_problem(await editor.delete(f"{SESSIONS}/{identifier}"), 404, "not_found")
    assert await status_of(anonymous, tokens["access_token"]) == 200


async def test_logout_ends_the_refresh_token_too(anonymous: httpx.AsyncClient, account: str) -> None:
    tokens = await log_in(anonymous, account)
    assert (await anonymous.post(f"{AUTH}/logout", headers=bearer(tokens["access_token"]))).status_code == 204
    assert await status_of(anonymous, tokens["access_token"]) == 401
    assert_problem(await refresh(anonymous, tokens["refresh_token"]), 401, "refresh_token_invalid")


async def test_all_sessions_end_on_every_worker(anonymous: httpx.AsyncClient, account: str) -> None:
    tokens = [await log_in(anonymous, account) for _ in range(3)]
    async with running_application() as second, second.client() as elsewhere:
        for each in tokens:
            assert await status_of(elsewhere, each["access_token"]) == 200
        answer = await anonymous.delete(SESSIONS, headers=bearer(tokens[0]["access_token"]))
        assert answer.status_code == 204
        for each in tokens:
            assert await status_of(elsewhere, each["access_token"]) == 401
            assert_problem(await refresh(elsewhere, each["refresh_token"]), 401, "refresh_token_invalid")


async def test_the_last_use_is_noted_now_and_then(
    anonymous: httpx.AsyncClient, account: str, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    access = (await log_in(anonymous, account))["access_token"]
    used = 'SELECT last_used_at FROM user_session s JOIN "user" u ON u.id = user_id WHERE email = $1 ORDER BY s.created_at DESC LIMIT 1'
    first = await db.fetchval(used, account)
    await anonymous.get(ME, headers=bearer(access))
    assert await db.fetchval(used, account) == first
    await db.execute("UPDATE user_session SET last_used_at = now() - interval '6 minutes'")
    await anonymous.get(ME, headers=bearer(access))
    assert await db.fetchval("SELECT now() - last_used_at < interval '1 minute' FROM user_session ORDER BY last_used_at DESC LIMIT 1")
