"""Wrong passwords are in the audit log, without what was typed, and without end to the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import pytest

from fastapi_application.accounts import failed_logins
from fastapi_application.accounts.sweep import sweep_expired
from fastapi_application.core.actor import Role
from fastapi_application.crud.action import run_crud_action
from tests.accounts.requests import AUDIT, AUTH, ME, bearer, log_in
from tests.support.application import assert_problem, body
from tests.support.queries import recorded_queries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.application import Application

    type Connection = asyncpg.Connection[asyncpg.Record]

LAST = "SELECT coalesce(max(id), 0) FROM audit_entry"
SINCE = "SELECT action, actor_id, subject_id, address, details FROM audit_entry WHERE id > $1 AND action <> 'created' ORDER BY id"


@pytest.fixture(autouse=True)
async def one_window(db: Connection, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Begin with nothing counted, in a window that does not end during a test."""
    monkeypatch.setattr(failed_logins, "WINDOW_S", 10**9)
    await db.execute("DELETE FROM login_failure")
    yield
    await db.execute("DELETE FROM login_failure")


async def fail(application: Application, typed: str, *, network: str = "192.0.2.1", times: int = 1) -> None:
    """Guess wrongly, from somewhere."""
    transport = httpx.ASGITransport(application.transport.app, client=(network, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for _ in range(times):
            answer = await client.post(f"{AUTH}/login", data={"username": typed, "password": "wrong"})
            assert_problem(answer, 400, "invalid_credentials")


async def test_failures_are_noted_with_account_and_network_and_thinned_out(
    application: Application, administrator: httpx.AsyncClient, address: str, db: Connection
) -> None:
    await application.create_user(address, Role.EDITOR)
    identifier = str(await db.fetchval('SELECT id FROM "user" WHERE email = $1', address))
    await fail(application, address, times=11)
    await fail(application, address, network="2001:db8::5")
    entries = body(await administrator.get(AUDIT, params={"subject_id": identifier, "action": "login_failed"}))["items"]
    seen = [(entry["address"], entry["details"], entry["actor_id"]) for entry in entries]
    here = "192.0.2.1"
    assert seen == [("2001:db8::/64", {"failures": 1}, None), (here, {"failures": 10}, None), (here, {"failures": 1}, None)]
    assert address not in str(entries)


async def test_of_an_unknown_address_nothing_is_kept_but_the_network(application: Application, db: Connection) -> None:
    before = await db.fetchval(LAST)
    await fail(application, "hunter2@example.org", network="192.0.2.2")
    await fail(application, "hunter3@example.org", network="192.0.2.2")
    rows = [tuple(row) for row in await db.fetch(SINCE, before)]
    assert rows == [("login_failed", None, None, "192.0.2.2", '{"failures": 1}')] * 2


async def test_the_same_statements_run_whoever_is_guessed_at_and_whether_it_is_told_or_not(
    application: Application, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await application.create_user(address, Role.EDITOR)
    await fail(application, address)
    seen = []
    for typed, most in ((address, 200), (address, 200), ("nobody-1@example.org", 200), ("nobody-2@example.org", 0)):
        monkeypatch.setattr(failed_logins, "MOST_ENTRIES", most)
        with recorded_queries(application.fastapi.state.engine) as statements:
            await fail(application, typed, network="192.0.2.3")
        seen.append(statements)
    assert all(statements == seen[0] for statements in seen)


async def test_a_deactivated_account_and_a_wrong_current_password_are_noted(
    application: Application, anonymous: httpx.AsyncClient, address: str, db: Connection
) -> None:
    await application.create_user(address, Role.EDITOR)
    access = (await log_in(anonymous, address))["access_token"]
    before = await db.fetchval(LAST)
    change: dict[str, Any] = {"json": {"password": "another long password", "current_password": "wrong"}, "headers": bearer(access)}
    assert (await anonymous.patch(ME, **change)).status_code == 400
    await db.execute('UPDATE "user" SET is_active = false WHERE email = $1', address)
    await fail(application, address)
    identifier = await db.fetchval('SELECT id FROM "user" WHERE email = $1', address)
    rows = [(row["action"], row["subject_id"]) for row in await db.fetch(SINCE, before)]
    assert rows == [("password_refused", identifier), ("login_failed", identifier)]


async def test_an_attacker_can_neither_fill_the_log_nor_hide_in_it(
    application: Application, address: str, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failed_logins, "MOST_ENTRIES", 3)
    await application.create_user(address, Role.EDITOR)
    before = await db.fetchval(LAST)
    for number in range(12):
        await fail(application, "nobody@example.org", network=f"198.51.100.{number}")
    await fail(application, address, network="198.51.100.99")
    rows = [(row["subject_id"] is not None, row["address"], row["details"]) for row in await db.fetch(SINCE, before)]
    noise = [(False, f"198.51.100.{number}", '{"failures": 1}') for number in range(3)]
    assert rows == [*noise, (False, None, '{"entries_left_out": 7}'), (True, "198.51.100.99", '{"failures": 1}')]


@pytest.mark.parametrize(("action", "days", "ends"), [("login_failed", 91, True), ("login_failed", 89, False), ("login", 91, False)])
async def test_only_old_entries_of_failures_can_be_deleted(
    application: Application, db: Connection, action: str, days: int, *, ends: bool
) -> None:
    insert = "INSERT INTO audit_entry (action, subject_kind, at) VALUES ($1, 'users', now() - make_interval(days => $2)) RETURNING id"
    identifier = await db.fetchval(insert, action, days)
    if not ends:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await db.execute("DELETE FROM audit_entry WHERE id = $1", identifier)
    async with application.fastapi.state.session_factory() as session:
        await run_crud_action(session, sweep_expired, session)
    assert await db.fetchval("SELECT count(*) FROM audit_entry WHERE id = $1", identifier) == (0 if ends else 1)
