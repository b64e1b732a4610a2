"""Who may write, who may read with which token, and which of several faults of a request is answered first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.core.actor import Role
from tests.factories.registry import FACTORIES
from tests.support.application import assert_problem, body
from tests.support.entities import KINDS, SERVICES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg
    import httpx

    from tests.conftest import Make
    from tests.support.application import Application

JSON = {"Content-Type": "application/json"}
MALFORMED = b'{"name": '
EDITORS_WRITES = [
    *[("POST", f"/api/v1/{kind}") for kind in KINDS],
    *[(method, f"/api/v1/{kind}/no-such-entry") for kind in KINDS for method in ("PUT", "PATCH", "DELETE")],
]
WRITES = [*EDITORS_WRITES, ("POST", "/api/v1/articles/no-such-entry/publish")]
READS = [f"/api/v1/{kind}{ref}" for kind in (*KINDS, "icao-types") for ref in ("", "/no-such-entry")]
NOT_A_TOKEN = {
    "unknown": "Bearer fja_" + "x" * 43,
    "of no known form": "Bearer x",
    "of another scheme": "Basic ZWRpdG9yOnBhc3N3b3Jk",
    "empty": "Bearer ",
    "no scheme": "fja_" + "x" * 43,
    "not ASCII": "Bearer fja_é",
    "very long": "Bearer " + "x" * 10_000,
}


class Body:
    """A streamed body that knows whether anybody has asked for it."""

    was_read = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the body out."""
        self.was_read = True
        yield MALFORMED


def assert_not_authenticated(answer: httpx.Response) -> None:
    assert_problem(answer, 401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["cache-control"] == "no-store"


def test_every_writable_kind_has_a_factory() -> None:
    assert set(FACTORIES) == set(SERVICES)


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_write_without_a_token_is_401_before_its_body_is_read(method: str, path: str, anonymous: httpx.AsyncClient) -> None:
    unread = Body()
    assert_not_authenticated(await anonymous.request(method, path, content=unread, headers=JSON))
    assert not unread.was_read


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_write_by_a_reader_is_403_before_its_body_is_read(method: str, path: str, reader: httpx.AsyncClient) -> None:
    unread = Body()
    assert_problem(await reader.request(method, path, content=unread, headers=JSON), 403, "forbidden")
    assert not unread.was_read


@pytest.fixture(scope="session")
async def unverified(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    """Speak as an editor who has yet to prove the address."""
    token = await application.create_user("unverified@example.org", Role.EDITOR, is_verified=False)
    async with application.client(token) as client:
        yield client


@pytest.mark.parametrize(("method", "path"), EDITORS_WRITES)
async def test_a_write_by_an_unverified_editor_is_403(method: str, path: str, unverified: httpx.AsyncClient) -> None:
    assert_problem(await unverified.request(method, path, content=MALFORMED, headers=JSON), 403, "email_not_verified")


async def test_an_unverified_reader_is_told_of_the_address_first(application: Application) -> None:
    token = await application.create_user("unverified-reader@example.org", Role.READER, is_verified=False)
    async with application.client(token) as client:
        assert_problem(await client.post("/api/v1/tags", json={"name": "T"}), 403, "email_not_verified")
        assert (await client.get("/api/v1/tags")).status_code == 200


@pytest.mark.parametrize("kind", KINDS)
async def test_moderators_and_administrators_write_too(
    kind: str, moderator: httpx.AsyncClient, administrator: httpx.AsyncClient, number: int
) -> None:
    for client in (moderator, administrator):
        created = await client.post(f"/api/v1/{kind}", json=FACTORIES[kind].minimal(number))
        body(created, 201)
        gone = await client.delete(created.headers["location"], headers={"If-Match": created.headers["etag"]})
        assert gone.status_code == 204


@pytest.mark.parametrize("authorization", NOT_A_TOKEN.values(), ids=NOT_A_TOKEN.keys())
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_what_is_not_a_token_is_401(method: str, authorization: str, anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.request(method, "/api/v1/tags", headers={b"Authorization": authorization.encode()})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", READS)
async def test_a_public_read_with_a_bad_token_is_401_whatever_else_is_wrong(path: str, anonymous: httpx.AsyncClient) -> None:
    bad = {"Authorization": NOT_A_TOKEN["unknown"]}
    assert_not_authenticated(await anonymous.get(path, headers=bad))
    assert_not_authenticated(await anonymous.get(path, headers=bad, params={"no_such_parameter": "1"}))


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_write_with_a_bad_token_is_401(method: str, path: str, anonymous: httpx.AsyncClient) -> None:
    unread = Body()
    headers = {**JSON, "Authorization": NOT_A_TOKEN["unknown"]}
    assert_not_authenticated(await anonymous.request(method, path, content=unread, headers=headers))
    assert not unread.was_read


async def test_expired_and_ended_tokens_are_401_on_reads_and_writes(
    application: Application, db: asyncpg.Connection[asyncpg.Record], make: Make
) -> None:
    tag = await make("tags")
    expired = await application.create_user("expired@example.org", Role.EDITOR)
    await db.execute("""UPDATE access_token SET expires_at = now() FROM "user" u WHERE u.id = user_id AND email = 'expired@example.org'""")
    ended = await application.create_user("ended@example.org", Role.EDITOR)
    async with application.client(ended) as client:
        assert (await client.post("/api/v1/auth/logout")).status_code == 204
    for token in (expired, ended):
        async with application.client(token) as client:
            for path in ("/api/v1/tags", f"/api/v1/tags/{tag['slug']}", "/api/v1/icao-types"):
                assert_not_authenticated(await client.get(path))
            assert_not_authenticated(await client.post("/api/v1/tags", json={"name": "T"}))
            assert_not_authenticated(await client.post("/api/v1/auth/logout"))


# --- the order of errors ----------------------------------------------------------------------------------------------


async def test_the_route_is_judged_before_the_token(anonymous: httpx.AsyncClient) -> None:
    bad = {"Authorization": NOT_A_TOKEN["unknown"]}
    for headers in ({}, bad):
        assert_problem(await anonymous.post("/api/v1/no-such-kind", headers=headers), 404, "route_not_found")
        assert_problem(await anonymous.get("/api/v1/aircraft/a/b", headers=headers), 404, "route_not_found")
        assert_problem(await anonymous.put("/api/v1/aircraft", headers=headers), 405, "method_not_allowed")


@pytest.mark.parametrize("kind", KINDS)
async def test_405_names_the_methods_of_the_path(kind: str, anonymous: httpx.AsyncClient) -> None:
    for path, method, allowed in (
        (f"/api/v1/{kind}", "PATCH", "GET, HEAD, POST"),
        (f"/api/v1/{kind}/x", "POST", "DELETE, GET, HEAD, PATCH, PUT"),
    ):
        answer = await anonymous.request(method, path)
        assert_problem(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == allowed


async def test_a_body_that_is_too_large_is_refused_before_the_token(anonymous: httpx.AsyncClient) -> None:
    unread = Body()
    answer = await anonymous.post("/api/v1/aircraft", content=unread, headers={**JSON, "Content-Length": str(2 * 1024 * 1024)})
    assert_problem(answer, 413, "body_too_large")
    assert not unread.was_read


@pytest.mark.parametrize("kind", KINDS)
async def test_order_of_errors_of_a_creation(
    kind: str, anonymous: httpx.AsyncClient, reader: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make, number: int
) -> None:
    taken = (await make(kind))["slug"]
    good = FACTORIES[kind].minimal(number)
    path, text, unknown = f"/api/v1/{kind}", {"Content-Type": "text/plain"}, {"no_such_parameter": "1"}
    for client, status in ((anonymous, 401), (reader, 403), (editor, 415)):
        assert (await client.post(path, content=MALFORMED, headers=text, params=unknown)).status_code == status
    assert (await editor.post(path, content=MALFORMED, headers=JSON, params=unknown)).status_code == 400
    wrong = {**good, "slug": taken, "no_such_field": 1}
    assert (await editor.post(path, json=wrong)).status_code == 422
    assert (await editor.post(path, json={**good, "slug": taken}, params=unknown)).status_code == 422
    problem = assert_problem(await editor.post(path, json={**good, "slug": taken}), 409, "slug_taken")
    assert [error["pointer"] for error in problem["errors"]] == ["/body/slug"]
    assert (await editor.post(path, json=good)).status_code == 201


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_order_of_errors_of_a_change(
    method: str, kind: str, anonymous: httpx.AsyncClient, reader: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make, number: int
) -> None:
    taken = (await make(kind))["slug"]
    created = await editor.post(f"/api/v1/{kind}", json=FACTORIES[kind].minimal(number))
    slug = f"renamed-{kind}-{number}"
    old = f"/api/v1/{kind}/{body(created, 201)['slug']}"
    renamed = await editor.patch(old, json={"slug": slug}, headers={"If-Match": created.headers["etag"]})
    current, missing = f"/api/v1/{kind}/{body(renamed)['slug']}", f"/api/v1/{kind}/no-such-entry"
    stale, fresh = {**JSON, "If-Match": created.headers["etag"]}, {**JSON, "If-Match": renamed.headers["etag"]}
    good = FACTORIES[kind].minimal(number)
    wrong = json.dumps({**good, "no_such_field": 1}).encode()
    conflicting = json.dumps({**good, "slug": taken}).encode()
    unknown = {"no_such_parameter": "1"}

    async def send(client: httpx.AsyncClient, path: str, content: bytes, headers: dict[str, str], query: Any = None) -> httpx.Response:
        return await client.request(method, path, content=content, headers=headers, params=query)

    text = {"Content-Type": "text/plain"}
    assert_not_authenticated(await send(anonymous, missing, MALFORMED, text, unknown))
    assert_problem(await send(reader, missing, MALFORMED, text, unknown), 403, "forbidden")
    assert_problem(await send(editor, missing, MALFORMED, text, unknown), 415, "unsupported_media_type")
    assert_problem(await send(editor, missing, MALFORMED, JSON, unknown), 400, "malformed_json")
    assert_problem(await send(editor, missing, wrong, JSON, unknown), 428, "precondition_required")
    assert_problem(await send(editor, missing, wrong, stale), 422, "validation_error")
    assert_problem(await send(editor, missing, conflicting, stale, unknown), 422, "validation_error")
    assert_problem(await send(editor, missing, conflicting, stale), 404, "not_found")
    moved = await send(editor, old, conflicting, stale, {"comment": "why not"})
    assert (moved.status_code, moved.headers["location"]) == (308, f"{current}?comment=why+not")
    assert_problem(await send(editor, current, conflicting, stale), 412, "precondition_failed")
    assert_problem(await send(editor, current, conflicting, fresh), 409, "slug_taken")
    assert (await send(editor, current, json.dumps(good).encode(), fresh)).status_code == 200


async def test_order_of_errors_of_a_deletion(
    anonymous: httpx.AsyncClient, reader: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make, number: int
) -> None:
    country = await make("countries")
    engine = await make("engines", country=country["slug"])
    old = f"/api/v1/countries/{country['slug']}"
    first = (await editor.get(old)).headers["etag"]
    renamed = await editor.patch(old, json={"slug": f"renamed-{number}"}, headers={"If-Match": first})
    current, missing = f"/api/v1/countries/renamed-{number}", "/api/v1/countries/no-such-entry"
    stale, fresh, unknown = {"If-Match": first}, {"If-Match": renamed.headers["etag"]}, {"no_such_parameter": "1"}

    assert_not_authenticated(await anonymous.delete(missing, params=unknown))
    assert_problem(await reader.delete(missing, params=unknown), 403, "forbidden")
    assert_problem(await editor.delete(missing, params=unknown), 428, "precondition_required")
    assert_problem(await editor.delete(missing, params=unknown, headers=stale), 422, "validation_error")
    assert_problem(await editor.delete(missing, headers=stale), 404, "not_found")
    moved = await editor.delete(old, headers=stale)
    assert (moved.status_code, moved.headers["location"]) == (308, current)
    assert_problem(await editor.delete(current, headers=stale), 412, "precondition_failed")
    assert_problem(await editor.delete(current, headers=fresh), 409, "in_use")
    assert body(await editor.get(f"/api/v1/engines/{engine['id']}"))["country"]["slug"] == f"renamed-{number}"
