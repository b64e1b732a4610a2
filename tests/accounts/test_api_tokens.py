"""Personal API tokens: limited, shown once, revocable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.core.actor import Role
from tests.accounts.requests import AUTH, ME, bearer
from tests.support.application import PASSWORD, assert_problem, body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg
    import httpx

    from tests.support.application import Application

TOKENS = f"{AUTH}/tokens"
TAGS = "/api/v1/tags"


@pytest.fixture
async def own(application: Application, address: str) -> AsyncIterator[httpx.AsyncClient]:
    """Speak as an editor of this test."""
    async with application.client(await application.create_user(address, Role.EDITOR)) as client:
        yield client


def in_days(days: float) -> str:
    """Return a time ahead."""
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


async def create(client: httpx.AsyncClient, *scopes: str, **more: Any) -> Any:
    """Create a token."""
    document = {"name": "My script", "scopes": list(scopes), "expires_at": in_days(1), **more}
    return body(await client.post(TOKENS, json=document), 201)


async def test_a_token_is_shown_once_and_listed_by_its_beginning(own: httpx.AsyncClient, db: asyncpg.Connection[asyncpg.Record]) -> None:
    created = await create(own, "write:tags", "read", "read")
    token = created.pop("token")
    assert token.startswith("fjp_")
    assert len(token) == 47
    assert created["prefix"] == token[:12]
    assert created["scopes"] == ["read", "write:tags"]
    answer = await own.get(TOKENS)
    assert body(answer) == {"items": [created]}
    assert answer.headers["cache-control"] == "no-store"
    assert token not in str(await db.fetch("SELECT * FROM api_token"))


async def test_scopes_limit_what_the_role_allows(own: httpx.AsyncClient, anonymous: httpx.AsyncClient) -> None:
    tags, articles, read = [bearer((await create(own, scope))["token"]) for scope in ("write:tags", "write:articles", "read")]
    assert_problem(await anonymous.post(TAGS, json={}, headers=tags), 422, "validation_error")
    for headers in (articles, read):
        refused = await anonymous.post(TAGS, json={}, headers=headers)
        assert_problem(refused, 403, "forbidden")
        assert refused.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="write:tags"'
    body(await anonymous.get(TAGS, headers=read))
    assert_problem(await anonymous.get(TAGS, headers=tags), 403, "forbidden")


async def test_a_reader_gains_nothing_by_a_scope(application: Application, address: str, anonymous: httpx.AsyncClient) -> None:
    async with application.client(await application.create_user(address, Role.READER)) as reader:
        token = (await create(reader, "write:tags"))["token"]
    assert_problem(await anonymous.post(TAGS, json={}, headers=bearer(token)), 403, "forbidden")


async def test_a_script_does_not_manage_the_account(own: httpx.AsyncClient, anonymous: httpx.AsyncClient, address: str) -> None:
    headers = bearer((await create(own, "read", "write:tags"))["token"])
    assert body(await anonymous.get(ME, headers=headers))["email"] == address
    for method, path in (
        ("GET", TOKENS),
        ("POST", TOKENS),
        ("DELETE", f"{TOKENS}/x"),
        ("GET", f"{AUTH}/sessions"),
        ("DELETE", f"{AUTH}/sessions"),
        ("POST", f"{AUTH}/logout"),
        ("PATCH", ME),
        ("DELETE", ME),
        ("GET", "/api/v1/users"),
        ("GET", "/api/v1/audit-log"),
    ):
        assert_problem(await anonymous.request(method, path, headers=headers), 403, "forbidden")


async def test_a_revoked_token_is_401_and_only_its_owner_revokes_it(
    own: httpx.AsyncClient, editor: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    created = await create(own, "read")
    assert_problem(await editor.delete(f"{TOKENS}/{created['id']}"), 404, "not_found")
    body(await anonymous.get(TAGS, headers=bearer(created["token"])))
    assert (await own.delete(f"{TOKENS}/{created['id']}")).status_code == 204
    assert_problem(await anonymous.get(TAGS, headers=bearer(created["token"])), 401, "not_authenticated")
    assert_problem(await own.delete(f"{TOKENS}/{created['id']}"), 404, "not_found")


async def test_a_token_expires(own: httpx.AsyncClient, anonymous: httpx.AsyncClient, db: asyncpg.Connection[asyncpg.Record]) -> None:
    created = await create(own, "read")
    await db.execute("UPDATE api_token SET expires_at = now() WHERE id = $1", created["id"])
    assert_problem(await anonymous.get(TAGS, headers=bearer(created["token"])), 401, "not_authenticated")


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"scopes": ["write"]}, "/body/scopes/0", "unknown_scope"),
        ({"scopes": ["read", "write:users"]}, "/body/scopes/1", "unknown_scope"),
        ({"scopes": []}, "/body/scopes", "too_short"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/body/expires_at", "invalid_time"),
        ({"expires_at": in_days(400)}, "/body/expires_at", "invalid_time"),
        ({"expires_at": "2026-12-24T00:00:00"}, "/body/expires_at", "invalid_time"),
        ({"expires_at": "9999-12-31T23:59:59-23:59"}, "/body/expires_at", "invalid_time"),
        ({"expires_at": 1_800_000_000}, "/body/expires_at", "invalid_time"),
        ({"expires_at": None}, "/body/expires_at", "invalid_time"),
        ({"name": ""}, "/body/name", "string_too_short"),
        ({"token": "fjp_mine"}, "/body/token", "unknown_field"),
    ],
)
async def test_what_is_refused(change: dict[str, Any], pointer: str, code: str, own: httpx.AsyncClient) -> None:
    document = {"name": "My script", "scopes": ["read"], "expires_at": in_days(1), **change}
    problem = assert_problem(await own.post(TOKENS, json=document), 422, "validation_error")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]


async def test_the_last_use_is_noted(own: httpx.AsyncClient, anonymous: httpx.AsyncClient) -> None:
    created = await create(own, "read")
    assert created["last_used_at"] is None
    body(await anonymous.get(TAGS, headers=bearer(created["token"])))
    assert body(await own.get(TOKENS))["items"][0]["last_used_at"] is not None
    assert PASSWORD not in str(created)
