"""Links in mails: good once, for a while, and only while the account is as it was."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import jwt
import pytest

from fastapi_application.accounts.links import Link, make_token
from fastapi_application.accounts.models import User
from tests.accounts.requests import ANOTHER_PASSWORD, AUTH, ME, bearer, log_in, register, status_of
from tests.support.application import PASSWORD, assert_problem, body

if TYPE_CHECKING:
    import asyncpg
    import httpx

    from tests.accounts.conftest import Mailbox
    from tests.support.application import Application


async def reset(client: httpx.AsyncClient, token: str, password: str = ANOTHER_PASSWORD) -> httpx.Response:
    """Set a new password."""
    return await client.post(f"{AUTH}/reset-password", json={"token": token, "password": password})


async def verify(client: httpx.AsyncClient, token: str) -> httpx.Response:
    """Verify an address."""
    return await client.post(f"{AUTH}/verify", json={"token": token})


async def account_of(application: Application, db: asyncpg.Connection[asyncpg.Record], address: str) -> User:
    """Read an account."""
    identifier = await db.fetchval('SELECT id FROM "user" WHERE email = $1', address)
    async with application.fastapi.state.session_factory() as session:
        user = await session.get(User, identifier)
    assert isinstance(user, User)
    return user


async def test_a_reset_works_once_and_ends_every_session(anonymous: httpx.AsyncClient, mailbox: Mailbox, address: str) -> None:
    await register(anonymous, address)
    tokens = await log_in(anonymous, address)
    body(await anonymous.post(f"{AUTH}/forgot-password", json={"email": address}), 202)
    link = await mailbox.token(address, "reset-password")
    assert (await reset(anonymous, link)).status_code == 204
    assert await status_of(anonymous, tokens["access_token"]) == 401
    problem = await anonymous.post(f"{AUTH}/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert_problem(problem, 401, "refresh_token_invalid")
    await log_in(anonymous, address, ANOTHER_PASSWORD)
    assert_problem(await reset(anonymous, link, "a third long password"), 400, "token_invalid")
    await log_in(anonymous, address, ANOTHER_PASSWORD)


async def test_a_new_password_is_checked_before_the_link_is_used_up(anonymous: httpx.AsyncClient, mailbox: Mailbox, address: str) -> None:
    await register(anonymous, address)
    body(await anonymous.post(f"{AUTH}/forgot-password", json={"email": address}), 202)
    link = await mailbox.token(address, "reset-password")
    for bad in ("short", "password1", address):
        assert_problem(await reset(anonymous, link, bad), 422, "validation_error")
    assert (await reset(anonymous, link)).status_code == 204


async def test_a_verification_works_once(anonymous: httpx.AsyncClient, mailbox: Mailbox, address: str) -> None:
    await register(anonymous, address)
    link = await mailbox.token(address, "verify")
    assert (await verify(anonymous, link)).status_code == 204
    assert_problem(await verify(anonymous, link), 400, "token_invalid")


@pytest.mark.parametrize("link", list(Link))
async def test_links_die_when_address_or_password_change_or_the_account_is_closed(
    link: Link, anonymous: httpx.AsyncClient, application: Application, address: str, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    use = verify if link is Link.VERIFY else reset
    await register(anonymous, address)
    user = await account_of(application, db, address)
    for column, other in (("email", f"other-{address}"), ("hashed_password", "$argon2id$other"), ("is_active", False)):
        await db.execute(f'UPDATE "user" SET {column} = $2 WHERE id = $1', user.id, other)  # noqa: S608 - three literals
        assert_problem(await use(anonymous, make_token(link, user)), 400, "token_invalid")
        await db.execute(f'UPDATE "user" SET {column} = $2 WHERE id = $1', user.id, getattr(user, column))  # noqa: S608
    assert (await use(anonymous, make_token(link, user))).status_code == 204


async def test_links_expire_and_are_good_for_one_purpose(
    anonymous: httpx.AsyncClient, application: Application, address: str, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    await register(anonymous, address)
    user = await account_of(application, db, address)
    assert_problem(await verify(anonymous, make_token(Link.VERIFY, user, -1)), 400, "token_invalid")
    assert_problem(await reset(anonymous, make_token(Link.RESET, user, -1)), 400, "token_invalid")
    assert_problem(await verify(anonymous, make_token(Link.RESET, user)), 400, "token_invalid")
    assert_problem(await reset(anonymous, make_token(Link.VERIFY, user)), 400, "token_invalid")


async def test_forged_links_are_refused(
    anonymous: httpx.AsyncClient, application: Application, address: str, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    await register(anonymous, address)
    user = await account_of(application, db, address)
    genuine = make_token(Link.RESET, user)
    claims = jwt.decode(genuine, options={"verify_signature": False})
    forged = [
        jwt.encode(claims, "another secret of thirty-two characters", algorithm="HS256"),
        jwt.encode(claims, "", algorithm="none"),
        jwt.encode({**claims, "sub": str(uuid.uuid4())}, Link.RESET.secret),
        jwt.encode({**claims, "sub": "x"}, Link.RESET.secret),
        jwt.encode({key: value for key, value in claims.items() if key != "fgpt"}, Link.RESET.secret),
        genuine[:-2],
        "x",
        "a.b.c",
        "\u00e9",
    ]
    for token in forged:
        assert_problem(await reset(anonymous, token), 400, "token_invalid")
    await log_in(anonymous, address)


async def test_a_new_address_has_to_be_verified_and_the_old_one_is_told(
    anonymous: httpx.AsyncClient, application: Application, mailbox: Mailbox, address: str, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    await register(anonymous, address)
    await verify(anonymous, await mailbox.token(address, "verify"))
    access = (await log_in(anonymous, address))["access_token"]
    before = make_token(Link.RESET, await account_of(application, db, address))
    change = {"email": f"new-{address}", "current_password": PASSWORD}
    me = body(await anonymous.patch(ME, json=change, headers=bearer(access)))
    assert (me["email"], me["is_verified"]) == (f"new-{address}", False)
    assert_problem(await reset(anonymous, before), 400, "token_invalid")
    assert "changed" in (await mailbox.of(address))[-1]["Subject"]
    assert (await verify(anonymous, await mailbox.token(f"new-{address}", "verify"))).status_code == 204
    await log_in(anonymous, f"new-{address}")
