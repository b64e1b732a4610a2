"""What attackers try: races, slow requests, other people's mailboxes, accounts that are gone."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from fastapi_application.accounts import throttle
from fastapi_application.core.actor import Role
from fastapi_application.core.config import get_settings
from tests.accounts.requests import ANOTHER_PASSWORD, AUTH, ME, USERS, bearer, log_in, refresh, register, status_of
from tests.accounts.test_administration import id_of
from tests.accounts.test_api_tokens import TAGS, TOKENS, in_days
from tests.accounts.test_links import reset, verify
from tests.support.application import PASSWORD, assert_problem, body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator

    import asyncpg
    import httpx

    from tests.accounts.conftest import Mailbox
    from tests.support.application import Application

    type Connection = asyncpg.Connection[asyncpg.Record]

DEADLOCK = "DO $$ BEGIN RAISE EXCEPTION 'made up' USING ERRCODE = 'deadlock_detected'; END $$"


@pytest.fixture
def twice() -> Iterator[Counter[str]]:
    """Let every action fail with a deadlock at its end, once, so that each one runs twice."""
    counts = Counter[str]()

    def fail_each_first(session: Session) -> None:
        if "on_commit" not in session.info:
            return  # a read by itself: nothing to repeat
        counts["commits"] += 1
        if counts["commits"] % 2:
            session.connection().exec_driver_sql(DEADLOCK)

    event.listen(Session, "before_commit", fail_each_first)
    yield counts
    event.remove(Session, "before_commit", fail_each_first)


async def test_an_action_that_runs_twice_does_what_it_should_do_once(
    twice: Counter[str], anonymous: httpx.AsyncClient, administrator: httpx.AsyncClient, address: str, db: Connection
) -> None:
    await register(anonymous, address)
    tokens = await log_in(anonymous, address)
    tokens = body(await refresh(anonymous, tokens["refresh_token"]))
    signed_in = bearer(tokens["access_token"])
    change = {"password": ANOTHER_PASSWORD, "current_password": PASSWORD, "display_name": "Ada"}
    assert body(await anonymous.patch(ME, json=change, headers=signed_in))["display_name"] == "Ada"
    assert await status_of(anonymous, tokens["access_token"]) == 401
    assert_problem(await anonymous.post(f"{AUTH}/login", data={"username": address, "password": PASSWORD}), 400, "invalid_credentials")
    signed_in = bearer((await log_in(anonymous, address, ANOTHER_PASSWORD))["access_token"])
    document = {"name": "x", "scopes": ["read"], "expires_at": in_days(1)}
    body(await anonymous.post(TOKENS, json=document, headers=signed_in), 201)
    assert len(body(await anonymous.get(TOKENS, headers=signed_in))["items"]) == 1
    path = f"{USERS}/{await id_of(db, address)}"
    assert body(await administrator.patch(path, json={"role": "editor"}))["role"] == "editor"
    signed_in = bearer((await log_in(anonymous, address, ANOTHER_PASSWORD))["access_token"])
    assert (await anonymous.post(f"{AUTH}/logout", headers=signed_in)).status_code == 204
    signed_in = bearer((await log_in(anonymous, address, ANOTHER_PASSWORD))["access_token"])
    leaving = {"current_password": ANOTHER_PASSWORD}
    assert (await anonymous.request("DELETE", ME, json=leaving, headers=signed_in)).status_code == 204
    assert await id_of(db, address) is None
    assert twice["commits"] % 2 == 0


async def test_a_new_password_is_set_while_a_thief_refreshes(anonymous: httpx.AsyncClient, application: Application, address: str) -> None:
    await application.create_user(address, Role.EDITOR)
    stolen, own = await log_in(anonymous, address), await log_in(anonymous, address)

    async def go_on_refreshing() -> str:
        token, access = stolen["refresh_token"], stolen["access_token"]
        while (answer := await refresh(anonymous, token)).status_code == 200:
            token, access = answer.json()["refresh_token"], answer.json()["access_token"]
        return str(access)

    thief = asyncio.create_task(go_on_refreshing())
    change = {"password": ANOTHER_PASSWORD, "current_password": PASSWORD}
    body(await anonymous.patch(ME, json=change, headers=bearer(own["access_token"])))
    async with asyncio.timeout(60):
        assert await status_of(anonymous, await thief) == 401
    await log_in(anonymous, address, ANOTHER_PASSWORD)


@asynccontextmanager
async def half_sent(client: httpx.AsyncClient, method: str, path: str, content: bytes) -> AsyncIterator[Awaitable[httpx.Response]]:
    """Send a request whose body ends only with the block."""
    begun, rest = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield content[:1]
        begun.set()
        await rest.wait()
        yield content[1:]

    request = asyncio.create_task(client.request(method, path, content=slowly(), headers={"Content-Type": "application/json"}))
    async with asyncio.timeout(60):
        await begun.wait()
        yield request
        await asyncio.sleep(0.1)  # this is what makes it slow
        rest.set()
        await request


async def test_a_slow_request_does_not_keep_the_rights_that_its_sender_loses_meanwhile(
    application: Application, administrator: httpx.AsyncClient, address: str, db: Connection
) -> None:
    token = await application.create_user(address, Role.ADMINISTRATOR)
    path = f"{USERS}/{await id_of(db, address)}"
    async with application.client(token) as demoted:
        async with half_sent(demoted, "PATCH", path, b'{"role": "administrator"}') as attempt:
            body(await administrator.patch(path, json={"role": "reader"}))
        assert_problem(await attempt, 401, "not_authenticated")
        assert body(await administrator.get(path))["role"] == "reader"


@pytest.mark.parametrize("path", [TAGS, TOKENS])
async def test_a_slow_request_does_not_outlive_its_session(path: str, application: Application, address: str) -> None:
    async with application.client(await application.create_user(address, Role.EDITOR)) as client:
        async with half_sent(client, "POST", path, b'{"name": "x", "scopes": ["read"], "expires_at": "2100-01-01T00:00:00Z"}') as attempt:
            assert (await client.delete(f"{AUTH}/sessions")).status_code == 204
        assert_problem(await attempt, 401, "not_authenticated")


async def test_no_token_is_made_behind_a_change_of_the_password(
    anonymous: httpx.AsyncClient, application: Application, address: str
) -> None:
    await application.create_user(address, Role.EDITOR)
    access = (await log_in(anonymous, address))["access_token"]
    document = {"name": "x", "scopes": ["read"], "expires_at": in_days(1)}
    change = {"password": ANOTHER_PASSWORD, "current_password": PASSWORD}
    changing = asyncio.create_task(anonymous.patch(ME, json=change, headers=bearer(access)))
    made = []
    while (answer := await anonymous.post(TOKENS, json=document, headers=bearer(access))).status_code in {201, 409}:
        made += [answer.json()["token"]] if answer.status_code == 201 else []
    body(await changing)
    assert {await status_of(anonymous, token) for token in made} <= {401}


async def test_of_logouts_at_once_one_is_the_logout_and_the_others_are_strangers(
    anonymous: httpx.AsyncClient, application: Application, address: str
) -> None:
    signed_in = bearer(await application.create_user(address, Role.EDITOR))
    answers = await asyncio.gather(*(anonymous.post(f"{AUTH}/logout", headers=signed_in) for _ in range(8)))
    assert Counter(answer.status_code for answer in answers) == {204: 1, 401: 7}


async def test_an_account_whose_owner_has_left_is_nobodys(
    anonymous: httpx.AsyncClient, administrator: httpx.AsyncClient, application: Application, address: str, db: Connection
) -> None:
    token = await application.create_user(address, Role.EDITOR)
    identifier = await id_of(db, address)
    answer = await anonymous.request("DELETE", ME, json={"current_password": PASSWORD}, headers=bearer(token))
    assert answer.status_code == 204
    for change in ({"is_active": True}, {"role": "administrator"}):
        assert_problem(await administrator.patch(f"{USERS}/{identifier}", json=change), 409, "state_conflict")
    await db.execute('UPDATE "user" SET is_active = true WHERE id = $1', identifier)
    attempt = await anonymous.post(f"{AUTH}/login", data={"username": f"deleted+{identifier}@example.org", "password": "!"})
    assert_problem(attempt, 400, "invalid_credentials")


async def test_nobody_writes_with_an_unproven_address(
    anonymous: httpx.AsyncClient, administrator: httpx.AsyncClient, application: Application, address: str
) -> None:
    await register(anonymous, address)
    reader = bearer((await log_in(anonymous, address))["access_token"])
    assert_problem(await anonymous.post(TAGS, json={}, headers=reader), 403, "email_not_verified")
    chief = bearer(await application.create_user(f"chief-{address}", Role.ADMINISTRATOR, is_verified=False))
    account = f"{USERS}/{body(await anonymous.get(ME, headers=reader))['id']}"
    body(await anonymous.get(account, headers=chief))
    assert_problem(await anonymous.patch(account, json={"role": "editor"}, headers=chief), 403, "email_not_verified")
    assert body(await administrator.get(account))["role"] == "reader"


async def test_nobody_is_bombed_with_mails_by_changes_of_address(anonymous: httpx.AsyncClient, address: str, mailbox: Mailbox) -> None:
    await register(anonymous, address)
    headers = bearer((await log_in(anonymous, address))["access_token"])
    for index in range(8):
        change = {"email": f"{'victim' if index % 2 else 'other'}-{address}", "current_password": PASSWORD}
        body(await anonymous.patch(ME, json=change, headers=headers))
    assert 0 < len(await mailbox.of(f"victim-{address}")) <= 4


async def test_that_an_address_is_taken_is_told_ever_more_slowly(
    anonymous: httpx.AsyncClient, application: Application, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get_settings().auth, "login_free_failures", 3)
    monkeypatch.setattr(throttle, "FIRST_WAIT_S", 200.0)
    await application.create_user(f"taken-{address}", Role.READER)
    headers = bearer(await application.create_user(address, Role.READER))
    change = {"email": f"taken-{address}", "current_password": PASSWORD}
    for _ in range(3):
        assert_problem(await anonymous.patch(ME, json=change, headers=headers), 409, "duplicate")
    assert_problem(await anonymous.patch(ME, json=change, headers=headers), 429, "login_throttled")


async def test_a_used_link_stays_used_when_the_address_comes_back(anonymous: httpx.AsyncClient, address: str, mailbox: Mailbox) -> None:
    await register(anonymous, address)
    await anonymous.post(f"{AUTH}/forgot-password", json={"email": address})
    verification, password_link = await mailbox.token(address, "verify"), await mailbox.token(address, "reset-password")
    assert (await verify(anonymous, verification)).status_code == 204
    headers = bearer((await log_in(anonymous, address))["access_token"])
    for email in (f"away-{address}", address):
        body(await anonymous.patch(ME, json={"email": email, "current_password": PASSWORD}, headers=headers))
    assert_problem(await verify(anonymous, verification), 400, "token_invalid")
    assert_problem(await reset(anonymous, password_link), 400, "token_invalid")


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("USER{}@Stra\u00dfe.example", "user{}@stra\u00dfe.example"),
        ("u{}@xn--strae-oqa.example", "u{}@stra\u00dfe.example"),
        ("\u03ba\u03ce\u03c3\u03c4\u03b1\u03c2{}@example.org", "\u03ba\u03ce\u03c3\u03c4\u03b1\u03c2{}@example.org"),
        ("pu{}@xn--bcher-kva.example", "pu{}@b\u00fccher.example"),
    ],
)
async def test_an_address_is_nobody_elses_and_signs_in_as_it_was_typed(
    typed: str, stored: str, anonymous: httpx.AsyncClient, number: int
) -> None:
    assert (await register(anonymous, typed.format(number))).status_code == 202
    tokens = await log_in(anonymous, typed.format(number))
    assert body(await anonymous.get(ME, headers=bearer(tokens["access_token"])))["email"] == stored.format(number)


@pytest.mark.parametrize("path", ["login", "refresh", "register", "request-verify-token", "verify", "forgot-password", "reset-password"])
async def test_unknown_parameters_are_refused(path: str, anonymous: httpx.AsyncClient) -> None:
    send: dict[str, Any] = {"data": {"username": "a", "password": "b"}} if path == "login" else {"json": {}}
    problem = assert_problem(await anonymous.post(f"{AUTH}/{path}?nonsense=1", **send), 422, "validation_error")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("/query/nonsense", "unknown_parameter")]


async def test_a_login_is_a_form(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.post(f"{AUTH}/login", json={"username": "a@example.org", "password": "b"})
    assert_problem(answer, 415, "unsupported_media_type")


async def test_a_script_that_may_not_read_does_not_read_the_account(
    anonymous: httpx.AsyncClient, application: Application, address: str
) -> None:
    headers = bearer(await application.create_user(address, Role.EDITOR))
    document = {"name": "x", "scopes": ["write:tags"], "expires_at": in_days(1)}
    token = body(await anonymous.post(TOKENS, json=document, headers=headers), 201)["token"]
    assert_problem(await anonymous.get(ME, headers=bearer(token)), 403, "forbidden")
