"""Registration and verification: a stranger becomes a reader, and nobody learns who is one already."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.core.config import get_settings
from tests.accounts.requests import AUTH, ME, bearer, log_in, register
from tests.support.application import PASSWORD, assert_problem, body

if TYPE_CHECKING:
    import asyncpg
    import httpx

    from tests.accounts.conftest import Mailbox


async def test_who_registers_gets_a_mail_verifies_and_is_welcomed(anonymous: httpx.AsyncClient, mailbox: Mailbox, address: str) -> None:
    answer = await register(anonymous, address, display_name="Ada", language="ru")
    assert body(answer, 202) == {"status": "accepted"}
    assert answer.headers["cache-control"] == "no-store"
    token = await mailbox.token(address, "verify")
    access = (await log_in(anonymous, address))["access_token"]
    me = body(await anonymous.get(ME, headers=bearer(access)))
    assert (me["email"], me["display_name"], me["language"], me["role"]) == (address, "Ada", "ru", "reader")
    assert (me["is_verified"], me["is_superuser"], me["is_active"]) == (False, False, True)
    verified = await anonymous.post(f"{AUTH}/verify", json={"token": token})
    assert (verified.status_code, verified.content) == (204, b"")
    assert body(await anonymous.get(ME, headers=bearer(access)))["is_verified"] is True
    mails = await mailbox.of(address)
    assert len(mails) == 2
    assert {mail["Content-Language"] for mail in mails} == {"ru"}


async def test_the_owner_of_a_taken_address_is_told_and_nobody_else(
    anonymous: httpx.AsyncClient, mailbox: Mailbox, address: str, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    first = await register(anonymous, address)
    before = await db.fetchrow('SELECT * FROM "user" WHERE email = $1', address)
    await mailbox.of(address)
    second = await register(anonymous, address.upper(), "another long password")
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert set(second.headers) == set(first.headers)
    assert await db.fetchrow('SELECT * FROM "user" WHERE email = $1', address) == before
    assert [mail["Subject"] for mail in await mailbox.of(address)][1:] != [mail["Subject"] for mail in await mailbox.of(address)][:1]
    assert len(await mailbox.of(address)) == 2


async def test_of_registrations_at_once_one_makes_an_account_and_all_answers_are_the_same(
    anonymous: httpx.AsyncClient, address: str, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    spellings = [address, address.upper(), address.title(), f" {address} "] * 2
    answers = await asyncio.gather(*(register(anonymous, spelling) for spelling in spellings))
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, b'{"status":"accepted"}')}
    assert await db.fetchval('SELECT count(*) FROM "user" WHERE email = $1', address) == 1


async def test_composed_and_decomposed_letters_are_one_address(
    anonymous: httpx.AsyncClient, number: int, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    composed, decomposed = f"zo\u00eb-{number}@example.org", f"zoe\u0308-{number}@example.org"
    body(await register(anonymous, decomposed), 202)
    body(await register(anonymous, composed), 202)
    assert await db.fetchval('SELECT count(*) FROM "user" WHERE email = ANY($1)', [composed, decomposed]) == 1
    await log_in(anonymous, composed)
    await log_in(anonymous, decomposed)


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"password": "short"}, "/body/password", "invalid_password"),
        ({"password": "x" * 129}, "/body/password", "invalid_password"),
        ({"password": "Password1"}, "/body/password", "common_password"),
        ({"password": "SELF"}, "/body/password", "invalid_password"),
        ({"email": "no address"}, "/body/email", "invalid_address"),
        ({"email": "a\0b@example.org"}, "/body/email", "invalid_address"),
        ({"email": "deleted+6f9619ff-8b86-d011-b42d-00cf4fc964ff@example.org"}, "/body/email", "invalid_address"),
        ({"email": None}, "/body/email", "string_type"),
        ({"language": "de"}, "/body/language", "literal_error"),
        ({"role": "administrator"}, "/body/role", "unknown_field"),
        ({"is_superuser": True}, "/body/is_superuser", "unknown_field"),
        ({"is_verified": True}, "/body/is_verified", "unknown_field"),
        ({"id": "6f9619ff-8b86-d011-b42d-00cf4fc964ff"}, "/body/id", "unknown_field"),
    ],
)
async def test_what_is_refused_names_the_field(
    change: dict[str, Any], pointer: str, code: str, anonymous: httpx.AsyncClient, address: str, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    document = {"email": address, "password": PASSWORD, **change}
    if document["password"] == "SELF":
        document["password"] = address.upper()
    problem = assert_problem(await anonymous.post(f"{AUTH}/register", json=document), 422, "validation_error")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]
    assert await db.fetchval('SELECT count(*) FROM "user" WHERE email = $1', address) == 0


async def test_registration_can_be_switched_off(anonymous: httpx.AsyncClient, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_settings().auth, "allow_registration", False)
    assert_problem(await register(anonymous, address), 403, "registration_closed")
    assert_problem(await anonymous.post(f"{AUTH}/register", content=b"{"), 403, "registration_closed")


async def test_asking_for_mails_answers_the_same_for_everybody(anonymous: httpx.AsyncClient, mailbox: Mailbox, address: str) -> None:
    await register(anonymous, address)
    await mailbox.of(address)
    for path in ("request-verify-token", "forgot-password"):
        answers = [await anonymous.post(f"{AUTH}/{path}", json={"email": email}) for email in (address, f"nobody-{address}")]
        assert {(answer.status_code, answer.content) for answer in answers} == {(202, b'{"status":"accepted"}')}
    assert len(await mailbox.of(address)) == 3
    assert await mailbox.of(f"nobody-{address}") == []


async def test_nobody_can_flood_a_mailbox(anonymous: httpx.AsyncClient, mailbox: Mailbox, address: str) -> None:
    await register(anonymous, address)
    for _ in range(15):
        body(await anonymous.post(f"{AUTH}/forgot-password", json={"email": address}), 202)
    # One for the registration, five at once, and perhaps one for each second or two that this took.
    assert 6 <= len(await mailbox.of(address)) <= 12


async def test_a_pending_account_reads_and_does_not_write(
    anonymous: httpx.AsyncClient, address: str, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    await register(anonymous, address)
    await db.execute("""UPDATE "user" SET role = 'editor' WHERE email = $1""", address)
    access = (await log_in(anonymous, address))["access_token"]
    body(await anonymous.get("/api/v1/tags", headers=bearer(access)))
    assert_problem(await anonymous.post("/api/v1/tags", json={}, headers=bearer(access)), 403, "email_not_verified")
