"""What administrators do with accounts, and what stays of it in the audit log."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from fastapi_application.accounts.sweep import sweep_expired
from fastapi_application.core.actor import Role
from fastapi_application.crud.action import run_crud_action
from tests.accounts.requests import AUDIT, AUTH, ME, USERS, bearer, log_in, refresh, status_of
from tests.support.application import PASSWORD, assert_problem, body

if TYPE_CHECKING:
    import httpx

    from tests.support.application import Application

    type Connection = asyncpg.Connection[asyncpg.Record]


async def id_of(db: Connection, address: str) -> uuid.UUID:
    """Return the id of an account."""
    identifier: uuid.UUID = await db.fetchval('SELECT id FROM "user" WHERE email = $1', address)
    return identifier


@pytest.fixture
async def account(application: Application, address: str, db: Connection) -> str:
    """Create an editor and return the path of the account."""
    await application.create_user(address, Role.EDITOR)
    return f"{USERS}/{await id_of(db, address)}"


async def test_only_administrators_see_accounts(
    anonymous: httpx.AsyncClient, reader: httpx.AsyncClient, moderator: httpx.AsyncClient, account: str
) -> None:
    for path in (USERS, account, AUDIT):
        assert_problem(await anonymous.get(path), 401, "not_authenticated")
        for client in (reader, moderator):
            assert_problem(await client.get(path), 403, "forbidden")
    assert_problem(await moderator.patch(account, json={"role": "reader"}), 403, "forbidden")


async def test_accounts_are_listed_searched_and_read(administrator: httpx.AsyncClient, account: str, address: str) -> None:
    shown = body(await administrator.get(account))
    assert shown["email"] == address
    page = body(await administrator.get(USERS, params={"q": address.upper().partition("@")[0], "role": "editor", "is_active": "true"}))
    assert shown in page["items"]
    assert set(page) == {"items", "total", "total_exact", "page", "size", "pages"}
    assert body(await administrator.get(USERS, params={"q": address, "role": "reader"}))["items"] == []
    assert body(await administrator.get(USERS, params={"q": "100%_"}))["items"] == []
    assert body(await administrator.get(USERS, params={"size": 1, "page": 2}))["page"] == 2
    for query in ({"q": "a\0"}, {"q": ""}, {"role": "king"}, {"size": 101}, {"page": 10_000, "size": 2}, {"sort": "email"}):
        assert_problem(await administrator.get(USERS, params=query), 422, "validation_error")
    for path in (f"{USERS}/{uuid.uuid4()}", f"{USERS}/x"):
        assert_problem(await administrator.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("change", "role", "is_superuser"),
    [
        ({"role": "moderator"}, "moderator", False),
        ({"role": "reader"}, "reader", False),
        ({"role": "administrator"}, "administrator", True),
        ({"is_superuser": True}, "administrator", True),
        ({"role": "administrator", "is_superuser": True}, "administrator", True),
    ],
)
async def test_a_new_role_ends_all_sessions_and_counts_at_once(
    change: dict[str, Any],
    role: str,
    is_superuser: bool,
    administrator: httpx.AsyncClient,
    anonymous: httpx.AsyncClient,
    account: str,
    address: str,
) -> None:
    tokens = await log_in(anonymous, address)
    changed = body(await administrator.patch(account, json=change))
    assert (changed["role"], changed["is_superuser"]) == (role, is_superuser)
    assert await status_of(anonymous, tokens["access_token"]) == 401
    assert_problem(await refresh(anonymous, tokens["refresh_token"]), 401, "refresh_token_invalid")
    access = (await log_in(anonymous, address))["access_token"]
    assert body(await anonymous.get(ME, headers=bearer(access)))["role"] == role
    body(await administrator.patch(account, json={"role": "reader"}))


async def test_a_deactivated_account_is_out_at_once_and_can_be_let_in_again(
    administrator: httpx.AsyncClient, anonymous: httpx.AsyncClient, account: str, address: str
) -> None:
    tokens = await log_in(anonymous, address)
    assert body(await administrator.patch(account, json={"is_active": False}))["is_active"] is False
    assert await status_of(anonymous, tokens["access_token"]) == 401
    answer = await anonymous.post(f"{AUTH}/login", data={"username": address, "password": PASSWORD})
    assert_problem(answer, 400, "invalid_credentials")
    body(await administrator.patch(account, json={"is_active": True}))
    await log_in(anonymous, address)
    assert await status_of(anonymous, tokens["access_token"]) == 401


@pytest.mark.parametrize(
    "change",
    [
        {"role": None},
        {"role": "king"},
        {"is_active": "no"},
        {"role": "editor", "is_superuser": True},
        {"email": "x@example.org"},
        {"is_verified": True},
        {"password": "x"},
        [],
    ],
)
async def test_what_is_refused(change: Any, administrator: httpx.AsyncClient, account: str) -> None:
    before = body(await administrator.get(account))
    assert_problem(await administrator.patch(account, json=change), 422, "validation_error")
    assert body(await administrator.get(account)) == before


async def test_a_change_that_changes_nothing_ends_no_session(
    administrator: httpx.AsyncClient, anonymous: httpx.AsyncClient, account: str, address: str
) -> None:
    tokens = await log_in(anonymous, address)
    for nothing in ({}, {"role": "editor"}, {"is_active": True}):
        body(await administrator.patch(account, json=nothing))
    assert await status_of(anonymous, tokens["access_token"]) == 200


async def test_the_last_administrator_stays(application: Application, address: str, db: Connection) -> None:
    """Of two who demote each other at once one is refused, and the one who is left cannot leave."""
    others = await db.fetch('UPDATE "user" SET is_active = false WHERE is_superuser AND is_active RETURNING id')
    try:
        await _demote_each_other(application, [f"one-{address}", f"two-{address}"], db)
    finally:
        await db.execute('UPDATE "user" SET is_active = true WHERE id = ANY ($1)', [row["id"] for row in others])


async def _demote_each_other(application: Application, addresses: list[str], db: Connection) -> None:
    tokens = [await application.create_user(address, Role.ADMINISTRATOR) for address in addresses]
    paths = [f"{USERS}/{await id_of(db, address)}" for address in addresses]
    async with application.client() as client:
        attempts = (
            client.patch(path, json={"role": "editor"}, headers=bearer(token)) for path, token in zip(paths, reversed(tokens), strict=True)
        )
        answers = await asyncio.gather(*attempts)
        codes = Counter(answer.status_code for answer in answers)
        assert codes in ({200: 1, 409: 1}, {200: 1, 401: 1})  # the second may find its own session ended already
        (left,) = await db.fetch('SELECT id, email FROM "user" WHERE is_superuser AND is_active')
        access = (await log_in(client, left["email"]))["access_token"]
        for change in ({"role": "moderator"}, {"is_active": False}, {"is_superuser": False}):
            answer = await client.patch(f"{USERS}/{left['id']}", json=change, headers=bearer(access))
            assert_problem(answer, 409, "state_conflict")
        answer = await client.request("DELETE", ME, json={"current_password": PASSWORD}, headers=bearer(access))
        assert_problem(answer, 409, "state_conflict")
        await db.execute('UPDATE "user" SET is_superuser = false WHERE id = $1', left["id"])


async def test_the_audit_log_says_who_did_what_from_where(
    administrator: httpx.AsyncClient, anonymous: httpx.AsyncClient, account: str, address: str
) -> None:
    await log_in(anonymous, address)
    answer = await administrator.patch(account, json={"role": "moderator"})
    me = body(await administrator.get(ME))["id"]
    entries = body(await administrator.get(AUDIT, params={"subject_id": body(answer)["id"]}))["items"]
    assert [entry["action"] for entry in entries] == ["role_changed", "login", "login", "created"]
    changed = entries[0]
    assert (changed["actor_id"], changed["subject_kind"], changed["address"]) == (me, "users", "127.0.0.1")
    assert changed["details"] == {"before": "editor", "after": "moderator"}
    assert changed["request_id"] == answer.headers["x-request-id"]
    assert address not in str(entries)
    by_me = body(await administrator.get(AUDIT, params={"actor_id": me, "action": "role_changed", "size": 1}))
    assert by_me["items"] == [changed]


@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize("statement", ["UPDATE audit_entry SET action = 'x'", "DELETE FROM audit_entry", "TRUNCATE audit_entry"])
async def test_the_database_refuses_to_change_the_audit_log(statement: str, role: str, db: Connection, account: str) -> None:
    count = await db.fetchval("SELECT count(*) FROM audit_entry")
    async with db.transaction():
        await db.execute(f"SET LOCAL session_replication_role = {role}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with db.transaction():
                await db.execute(statement)
    assert await db.fetchval("SELECT count(*) FROM audit_entry") == count > 0


async def test_what_has_expired_is_swept(application: Application, address: str, db: Connection) -> None:
    token = await application.create_user(address, Role.EDITOR)
    async with application.client(token) as client:
        await log_in(client, address)
        identifier = await id_of(db, address)
        oldest = "SELECT id FROM user_session WHERE user_id = $1 ORDER BY created_at LIMIT 1"
        await db.execute(f"UPDATE user_session SET expires_at = now() WHERE id = ({oldest})", identifier)  # noqa: S608 - a literal
        async with application.fastapi.state.session_factory() as session:
            await run_crud_action(session, sweep_expired, session)
        counts = "SELECT (SELECT count(*) FROM user_session WHERE user_id = $1), (SELECT count(*) FROM access_token WHERE user_id = $1)"
        assert tuple(await db.fetchrow(counts, identifier) or ()) == (1, 1)
