"""Login and logout: one answer to whoever may not come in, and a token that only its owner knows."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from fastapi_application.accounts import passwords
from fastapi_application.core.actor import Role
from fastapi_application.core.config import get_settings
from tests.support.application import PASSWORD, assert_problem, body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg
    import httpx

    from tests.support.application import Application

LOGIN = "/api/v1/auth/login"
LOGOUT = "/api/v1/auth/logout"
TEXT_TYPES = ["text", "character varying", "character", "json", "jsonb", "bytea", "ARRAY", "USER-DEFINED"]


def stored(token: str) -> str:
    """Return what the database has of a token."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode().rstrip("=")


async def login(client: httpx.AsyncClient, address: str, password: str = PASSWORD, **more: str) -> httpx.Response:
    """Log in."""
    return await client.post(LOGIN, data={"username": address, "password": password, **more})


@pytest.fixture
async def address(application: Application, number: int) -> str:
    """Create an account."""
    email = f"login-{number}@example.org"
    await application.create_user(email, Role.EDITOR)
    return email


async def test_login_answers_with_a_bearer_token_that_is_not_to_be_stored(anonymous: httpx.AsyncClient, address: str) -> None:
    answer = await login(anonymous, address)
    document = body(answer)
    assert re.fullmatch(r"fja_[A-Za-z0-9_-]{43}", document.pop("access_token"))
    assert re.fullmatch(r"fjr_[A-Za-z0-9_-]{43}", document.pop("refresh_token"))
    settings = get_settings().auth
    assert document == {"token_type": "bearer", "expires_in": settings.access_ttl_s, "refresh_expires_in": settings.refresh_ttl_s}
    assert answer.headers["cache-control"] == "no-store"


async def test_each_login_issues_another_token_and_all_of_them_work(
    application: Application, anonymous: httpx.AsyncClient, address: str
) -> None:
    tokens = [body(await login(anonymous, address))["access_token"] for _ in range(3)]
    assert len(set(tokens)) == 3
    for token in tokens:
        async with application.client(token) as client:
            assert_problem(await client.post("/api/v1/tags", json={}), 422, "validation_error")  # an editor's answer


async def test_the_form_of_oauth_is_accepted_whole(anonymous: httpx.AsyncClient, address: str) -> None:
    body(await login(anonymous, address, grant_type="password", scope="", client_id="c", client_secret="s"))


@pytest.mark.parametrize("change", [str.upper, str.title, lambda address: f" {address} "])
async def test_the_case_of_the_address_does_not_matter(change: Any, anonymous: httpx.AsyncClient, address: str) -> None:
    body(await login(anonymous, change(address)))


async def test_a_wrong_password_an_unknown_and_an_inactive_account_get_the_same_answer(
    anonymous: httpx.AsyncClient, application: Application, address: str, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    inactive = f"inactive-{address}"
    await application.create_user(inactive, Role.EDITOR)
    await db.execute('UPDATE "user" SET is_active = false WHERE email = $1', inactive)
    problems = []
    for name, password in (
        (address, "wrong"),
        (address, PASSWORD.upper()),
        (address, PASSWORD + " "),
        (f"nobody-{address}", PASSWORD),
        ("no address", PASSWORD),
        ("a\0b@example.org", PASSWORD),
        (address, f"{PASSWORD}\0"),
        (inactive, PASSWORD),
    ):
        answer = await login(anonymous, name, password)
        problem = assert_problem(answer, 400, "invalid_credentials")
        assert answer.headers["cache-control"] == "no-store"
        problems.append({key: value for key, value in problem.items() if key != "request_id"})
    assert all(problem == problems[0] for problem in problems)


async def test_an_unknown_address_costs_as_many_hashes_as_a_wrong_password(
    anonymous: httpx.AsyncClient,
    application: Application,
    address: str,
    db: asyncpg.Connection[asyncpg.Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inactive = f"inactive-{address}"
    await application.create_user(inactive, Role.EDITOR)
    await db.execute('UPDATE "user" SET is_active = false WHERE email = $1', inactive)
    compared: list[str] = []

    class Helper:
        """Notes which hash a password is compared with."""

        def verify_and_update(self, _password: str, hashed: str) -> tuple[bool, None]:
            compared.append(hashed)
            return False, None

    monkeypatch.setattr(passwords, "_helper", Helper())
    for name in (address, f"nobody-{address}", inactive, "a\0b"):
        assert_problem(await login(anonymous, name), 400, "invalid_credentials")
    assert len(compared) == 4
    # The parameters decide what a comparison costs.
    assert len({hashed.split("$")[3] for hashed in compared}) == 1


FORM = "application/x-www-form-urlencoded"
GOOD = {"username": "a@example.org", "password": "geheim-und-lang"}
UNREADABLE: dict[str, tuple[str | None, bytes]] = {
    "nothing": (FORM, b""),
    "no password": (FORM, b"username=a%40example.org"),
    "no address": (FORM, b"password=geheim-und-lang"),
    "empty": (FORM, b"username=&password="),
    "unknown field": (FORM, urlencode({**GOOD, "remember": "1"}).encode()),
    "another grant": (FORM, urlencode({**GOOD, "grant_type": "client_credentials"}).encode()),
    "long address": (FORM, urlencode({**GOOD, "username": "a" * 400}).encode()),
    "long password": (FORM, urlencode({**GOOD, "password": "geheim-und-lang" * 1000}).encode()),
    "huge": (FORM, b"username=" + b"a" * 1_100_000),
    "many fields": (FORM, b"&".join(b"f%d=1" % index for index in range(2000))),
    "not a form": (FORM, b"\xff\xfe\x00"),
    "JSON": ("application/json", b'{"username": "a@example.org", "password": "geheim-und-lang"}'),
    "no type": (None, urlencode(GOOD).encode()),
    "broken parts": ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\ngeheim-und-lang"),
    "no boundary": ("multipart/form-data", b"geheim-und-lang"),
}


@pytest.mark.parametrize(("media_type", "content"), UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_what_is_no_login_is_a_problem_that_repeats_no_secret(
    media_type: str | None, content: bytes, anonymous: httpx.AsyncClient
) -> None:
    answer = await anonymous.post(LOGIN, content=content, headers={"Content-Type": media_type} if media_type else {})
    assert 400 <= answer.status_code < 500, answer.text
    assert_problem(answer, answer.status_code, answer.json()["code"])
    assert answer.headers["cache-control"] == "no-store"
    assert "geheim" not in answer.text


async def test_a_missing_field_is_named(anonymous: httpx.AsyncClient) -> None:
    problem = assert_problem(await anonymous.post(LOGIN, data={"username": "a@example.org"}), 422, "validation_error")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("/body/password", "missing")]


# --- what is stored ---------------------------------------------------------------------------------------------------


async def test_neither_token_nor_password_is_anywhere_in_the_database(
    anonymous: httpx.AsyncClient, address: str, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    token = body(await login(anonymous, address))["access_token"]
    columns = await db.fetch(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' AND data_type = ANY($1)", TEXT_TYPES
    )
    assert {("user", "hashed_password"), ("access_token", "token")} <= {tuple(column) for column in columns}

    async def found(text: str) -> set[tuple[str, str]]:
        search = 'SELECT EXISTS (SELECT FROM "{0}" WHERE strpos("{1}"::text, $1) > 0)'
        return {(table, name) for table, name in columns if await db.fetchval(search.format(table, name), text)}

    assert await found(address) == {("user", "email")}  # the search does find
    assert await found(stored(token)) == {("access_token", "token")}
    for secret in (token, token.removeprefix("fja_"), PASSWORD):
        assert await found(secret) == set()
        assert await found(secret.encode().hex()) == set()
    hashed = await db.fetchval('SELECT hashed_password FROM "user" WHERE email = $1', address)
    assert hashed.startswith("$argon2id$")


@pytest.fixture
async def short_lived(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Set the lifetime of tokens as an operator does."""
    monkeypatch.setenv("AUTH__ACCESS_TTL_S", "60")
    get_settings.cache_clear()
    yield
    monkeypatch.undo()
    get_settings.cache_clear()


async def test_a_token_expires_after_the_time_that_is_set(
    short_lived: None, anonymous: httpx.AsyncClient, address: str, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    document = body(await login(anonymous, address))
    assert document["expires_in"] == 60
    lifetime = await db.fetchval(
        "SELECT extract(epoch FROM expires_at - created_at) FROM access_token WHERE token = $1", stored(document["access_token"])
    )
    assert 55 < lifetime < 65


# --- logout -----------------------------------------------------------------------------------------------------------


async def test_logout_ends_exactly_this_token(application: Application, anonymous: httpx.AsyncClient, address: str) -> None:
    ended, other = [body(await login(anonymous, address))["access_token"] for _ in range(2)]
    async with application.client(ended) as client:
        answer = await client.post(LOGOUT)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["cache-control"] == "no-store"
        again = await client.post(LOGOUT)
        assert_problem(again, 401, "not_authenticated")
        assert again.headers["cache-control"] == "no-store"
        assert_problem(await client.get("/api/v1/tags"), 401, "not_authenticated")
    async with application.client(other) as client:
        assert (await client.get("/api/v1/tags")).status_code == 200


async def test_logout_without_a_token_is_401(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.post(LOGOUT)
    assert_problem(answer, 401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
