"""One's own account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.core.actor import Role
from tests.accounts.requests import ANOTHER_PASSWORD, AUTH, ME, log_in, refresh, status_of
from tests.support.application import PASSWORD, assert_problem, body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg
    import httpx

    from tests.accounts.conftest import Mailbox
    from tests.support.application import Application


@pytest.fixture
async def own(application: Application, address: str) -> AsyncIterator[httpx.AsyncClient]:
    """Speak as an editor of this test."""
    async with application.client(await application.create_user(address, Role.EDITOR)) as client:
        yield client


async def test_an_account_shows_its_owner_everything_but_the_password(own: httpx.AsyncClient, address: str) -> None:
    answer = await own.get(ME)
    me = body(answer)
    expected = {"id", "email", "display_name", "language", "role", "is_superuser", "is_active", "is_verified", "created_at"}
    assert set(me) == expected
    assert (me["email"], me["role"]) == (address, "editor")
    assert answer.headers["cache-control"] == "no-store"


async def test_name_and_language_change_freely(own: httpx.AsyncClient, address: str) -> None:
    changed = body(await own.patch(ME, json={"display_name": "Ada", "language": "ru"}))
    assert (changed["display_name"], changed["language"], changed["email"]) == ("Ada", "ru", address)
    assert body(await own.get(ME)) == changed
    assert body(await own.patch(ME, json={"display_name": None}))["display_name"] is None
    assert body(await own.patch(ME, json={})) == body(await own.get(ME))


@pytest.mark.parametrize("change", [{"password": ANOTHER_PASSWORD}, {"email": "another@example.org"}])
@pytest.mark.parametrize("proof", [{}, {"current_password": "wrong"}])
async def test_address_and_password_need_the_current_password(
    change: dict[str, str], proof: dict[str, str], own: httpx.AsyncClient
) -> None:
    before = body(await own.get(ME))
    assert_problem(await own.patch(ME, json={**change, **proof}), 400, "invalid_credentials")
    assert body(await own.get(ME)) == before


@pytest.mark.parametrize(
    "change",
    [
        {"role": "administrator"},
        {"is_superuser": True},
        {"is_verified": True},
        {"is_active": True},
        {"id": "6f9619ff-8b86-d011-b42d-00cf4fc964ff"},
        {"created_at": "2020-01-01T00:00:00Z"},
        {"hashed_password": "x"},
        {"email": None, "current_password": PASSWORD},
        {"password": None, "current_password": PASSWORD},
        {"language": None},
    ],
)
async def test_nobody_raises_their_own_rights(change: dict[str, Any], own: httpx.AsyncClient) -> None:
    before = body(await own.get(ME))
    assert_problem(await own.patch(ME, json=change), 422, "validation_error")
    assert body(await own.get(ME)) == before


async def test_a_new_password_ends_every_session_and_token_and_is_told(
    own: httpx.AsyncClient, anonymous: httpx.AsyncClient, address: str, mailbox: Mailbox
) -> None:
    elsewhere = await log_in(anonymous, address)
    script = body(await own.post(f"{AUTH}/tokens", json={"name": "s", "scopes": ["read"], "expires_at": "2027-01-01T00:00:00Z"}), 201)
    change = {"password": ANOTHER_PASSWORD, "current_password": PASSWORD}
    assert body(await own.patch(ME, json=change))["email"] == address
    assert_problem(await own.get(ME), 401, "not_authenticated")
    assert await status_of(anonymous, elsewhere["access_token"]) == 401
    assert await status_of(anonymous, script["token"]) == 401
    assert_problem(await refresh(anonymous, elsewhere["refresh_token"]), 401, "refresh_token_invalid")
    await log_in(anonymous, address, ANOTHER_PASSWORD)
    assert any("password" in mail["Subject"].lower() for mail in await mailbox.of(address))


async def test_bad_new_passwords_are_refused(own: httpx.AsyncClient, address: str) -> None:
    for bad in ("short", "password1", address):
        assert_problem(await own.patch(ME, json={"password": bad, "current_password": PASSWORD}), 422, "validation_error")
    body(await own.get(ME))


async def test_a_taken_address_is_refused(own: httpx.AsyncClient, application: Application, address: str) -> None:
    await application.create_user(f"taken-{address}", Role.READER)
    change = {"email": f"TAKEN-{address}", "current_password": PASSWORD}
    assert_problem(await own.patch(ME, json=change), 409, "duplicate")


async def test_leaving_keeps_what_was_written_and_forgets_who(
    own: httpx.AsyncClient, anonymous: httpx.AsyncClient, address: str, number: int, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    me = body(await own.get(ME))
    category = body(await own.post("/api/v1/tag-categories", json={"title": f"Left behind {number}"}), 201)
    assert_problem(await own.request("DELETE", ME, json={"current_password": "wrong"}), 400, "invalid_credentials")
    assert (await own.request("DELETE", ME, json={"current_password": PASSWORD})).status_code == 204
    assert_problem(await own.get(ME), 401, "not_authenticated")
    assert_problem(await anonymous.post(f"{AUTH}/login", data={"username": address, "password": PASSWORD}), 400, "invalid_credentials")
    assert body(await anonymous.get(f"/api/v1/tag-categories/{category['slug']}"))["created_by"] == me["id"]
    row = await db.fetchrow('SELECT * FROM "user" WHERE id = $1', category["created_by"])
    assert row is not None
    assert row["email"] == f"deleted+{me['id']}@example.org"
    assert (row["display_name"], row["is_active"], row["role"]) == (None, False, "reader")
    assert address not in str(dict(row))
    assert await db.fetchval("SELECT count(*) FROM audit_entry WHERE actor_id = $1 AND action = 'left'", row["id"]) == 1


async def test_a_foreign_address_can_be_used_again_after_its_owner_left(
    own: httpx.AsyncClient, application: Application, address: str
) -> None:
    assert (await own.request("DELETE", ME, json={"current_password": PASSWORD})).status_code == 204
    async with application.client(await application.create_user(address, Role.READER)) as again:
        assert body(await again.get(ME))["role"] == "reader"


async def test_a_sign_in_from_a_new_place_is_told(
    anonymous: httpx.AsyncClient, own: httpx.AsyncClient, address: str, mailbox: Mailbox, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    await log_in(anonymous, address)
    assert await mailbox.of(address) == []
    await db.execute("""UPDATE known_network SET network = '192.0.2.1' FROM "user" u WHERE u.id = user_id AND email = $1""", address)
    await log_in(anonymous, address, **{"User-Agent": "<b>Unknown</b> browser"})
    (mail,) = await mailbox.of(address)
    html = mail.get_body(("html",))
    assert html is not None
    assert "&lt;b&gt;Unknown&lt;/b&gt; browser" in html.get_content()
    await log_in(anonymous, address)
    assert len(await mailbox.of(address)) == 1
