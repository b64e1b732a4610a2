"""Nobody overwrites anybody, nothing is done twice, and every change says why."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.crud.action import run_crud_action
from fastapi_application.crud.idempotency import sweep_idempotency
from tests.contract.test_preconditions import patiently
from tests.factories.registry import FACTORIES
from tests.history.steps import etag, patch, revisions
from tests.support.application import assert_problem, body
from tests.support.entities import KINDS

if TYPE_CHECKING:
    import asyncpg
    import httpx

    from tests.conftest import Make
    from tests.support.application import Application

    type Connection = asyncpg.Connection[asyncpg.Record]

JSON_PATCH = {"Content-Type": "application/json-patch+json"}


# --- 412 --------------------------------------------------------------------------------------------------------------


async def test_412_names_what_has_changed_since(editor: httpx.AsyncClient, make: Make) -> None:
    designer = await make("designers")
    aircraft = await make("aircraft")
    path = f"/api/v1/aircraft/{aircraft['id']}"
    first = await etag(editor, path)
    await patch(editor, path, {"crew": 2, "designers": [{"designer": designer["slug"]}]})
    second = await etag(editor, path)
    await patch(editor, path, {"name": "Another name"})
    # What it refers to is called otherwise: no change of its own.
    await patch(editor, f"/api/v1/designers/{designer['id']}", {"name": "Renamed", "slug": f"renamed-{designer['slug']}"})
    for seen, fields in ((first, ["crew", "designers", "name"]), (second, ["name"]), ({"If-Match": '"x"'}, [])):
        answer = await editor.patch(path, json={"crew": 3}, headers=seen)
        assert assert_problem(answer, 412, "precondition_failed")["changed_fields"] == fields
    id8 = aircraft["id"][:8]
    nonsense = {b"If-Match": f'"{id8}.99999999999999999999", "{id8}.²"'.encode()}
    assert assert_problem(await editor.delete(path, headers=nonsense), 412, "precondition_failed")["changed_fields"] == []


async def test_of_twenty_changes_of_an_article_with_one_tag_one_is_made(editor: httpx.AsyncClient, make: Make) -> None:
    path = f"/api/v1/articles/{(await make('articles'))['id']}"
    headers = await etag(editor, path)
    answers = await asyncio.gather(
        *(patiently(editor, "PATCH", path, json={"content": f"Version {index}.\n"}, headers=headers) for index in range(20))
    )
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 19}
    for answer in answers:
        if answer.status_code == 412:
            assert answer.json()["changed_fields"] == ["content"]
    assert [revision["number"] for revision in await revisions(editor, path)] == [1, 2]


# --- comments ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_change_says_why(method: str, editor: httpx.AsyncClient, make: Make) -> None:
    tag = await make("tags")
    path = f"/api/v1/tags/{tag['id']}"
    headers = await etag(editor, path)
    content: dict[str, Any] = {} if method == "DELETE" else {"json": {"name": "Other"}}
    for comment in ("", "  ", "x" * 501, "a\0b"):
        answer = await editor.request(method, path, params={"comment": comment}, headers=headers, **content)
        assert [error["pointer"] for error in assert_problem(answer, 422, "validation_error")["errors"]] == ["/query/comment"]
    answer = await editor.request(method, path, params={"comment": "x" * 500}, headers=headers, **content)
    assert answer.is_success


@pytest.mark.parametrize("kind", KINDS)
async def test_a_change_without_a_comment_is_422_after_428_and_before_404(kind: str, silent: httpx.AsyncClient, number: int) -> None:
    path, document = f"/api/v1/{kind}/no-such-entry", FACTORIES[kind].minimal(number)
    for method, content in (("PUT", {"json": document}), ("PATCH", {"json": {}}), ("DELETE", {})):
        assert_problem(await silent.request(method, path, **content), 428, "precondition_required")
        answer = await silent.request(method, path, headers={"If-Match": '"x"'}, **content)
        problem = assert_problem(answer, 422, "comment_required")
        assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("/query/comment", "comment_required")]


async def test_a_creation_may_say_why(silent: httpx.AsyncClient, editor: httpx.AsyncClient, number: int) -> None:
    for comment in (None, "For the article on ekranoplans."):
        params = {} if comment is None else {"comment": comment}
        created = body(await silent.post("/api/v1/tags", json={"name": f"Tag with a reason {number}"}, params=params), 201)
        (revision,) = await revisions(editor, f"/api/v1/tags/{created['id']}")
        assert (revision["action"], revision["comment"], revision["actor"]["id"]) == ("create", comment, created["created_by"])


# --- Idempotency-Key --------------------------------------------------------------------------------------------------


async def count(db: Connection, name: str) -> Any:
    return await db.fetchval("SELECT count(*) FROM tag WHERE name = $1", name)


async def test_of_ten_posts_with_one_key_one_makes_a_row(editor: httpx.AsyncClient, db: Connection, number: int) -> None:
    name, headers = f"Once {number}", {"Idempotency-Key": f"once-{number}"}
    answers = await asyncio.gather(
        *(patiently(editor, "POST", "/api/v1/tags", json={"name": name}, headers=headers) for _ in range(10)),
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({(answer.content, answer.headers["etag"], answer.headers["location"]) for answer in answers}) == 1
    assert sorted(answer.headers.get("idempotency-replayed", "") for answer in answers) == ["", *["true"] * 9]
    assert await count(db, name) == 1


async def test_a_key_belongs_to_an_account_and_a_route_and_a_body(
    editor: httpx.AsyncClient, moderator: httpx.AsyncClient, db: Connection, number: int
) -> None:
    name, headers = f"Keyed {number}", {"Idempotency-Key": f"keyed-{number}"}
    first = await editor.post("/api/v1/tags", json={"name": name, "category": None}, headers=headers)
    same = await editor.post(
        "/api/v1/tags", content=f'{{"category" : null, "name":"{name}"}}', headers={**headers, "Content-Type": "application/json"}
    )
    assert (same.status_code, same.content) == (201, first.content)
    problem = assert_problem(await editor.post("/api/v1/tags", json={"name": f"{name}!"}, headers=headers), 422, "idempotency_key_reused")
    assert problem["errors"][0]["pointer"] == "/header/idempotency-key"
    for answer in (
        await moderator.post("/api/v1/tags", json={"name": name}, headers=headers),
        await editor.post("/api/v1/designers", json={"name": name}, headers=headers),
    ):
        body(answer, 201)
        assert "idempotency-replayed" not in answer.headers
    assert await count(db, name) == 2


async def test_only_success_is_kept(editor: httpx.AsyncClient, make: Make, number: int) -> None:
    taken = (await make("tags"))["slug"]
    headers = {"Idempotency-Key": f"failing-{number}"}
    document = {"name": "T", "slug": taken}
    assert_problem(await editor.post("/api/v1/tags", json=document, headers=headers), 409, "slug_taken")
    assert_problem(await editor.post("/api/v1/tags", json=document, headers=headers), 409, "slug_taken")
    body(await editor.post("/api/v1/tags", json={**document, "slug": f"free-{number}"}, headers=headers), 201)


async def test_an_answer_is_replayed_whatever_has_become_of_the_entry(editor: httpx.AsyncClient, number: int) -> None:
    headers = {"Idempotency-Key": f"gone-{number}"}
    first = await editor.post("/api/v1/tags", json={"name": f"Gone {number}"}, headers=headers)
    path = first.headers["location"]
    assert (await editor.delete(path, headers=await etag(editor, path))).status_code == 204
    again = await editor.post("/api/v1/tags", json={"name": f"Gone {number}"}, headers=headers)
    assert (again.status_code, again.content) == (201, first.content)
    assert (await editor.get(path)).status_code == 404


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "é", "a\tb"])
async def test_what_is_not_a_key_is_422(key: str, editor: httpx.AsyncClient) -> None:
    answer = await editor.post("/api/v1/tags", json={"name": "T"}, headers={b"Idempotency-Key": key.encode()})
    assert [error["pointer"] for error in assert_problem(answer, 422, "validation_error")["errors"]] == ["/header/idempotency-key"]


async def test_a_key_is_free_after_a_day_and_swept(
    application: Application, editor: httpx.AsyncClient, db: Connection, number: int
) -> None:
    name, headers = f"Daily {number}", {"Idempotency-Key": f"daily-{number}"}
    body(await editor.post("/api/v1/tags", json={"name": name}, headers=headers), 201)
    await db.execute("UPDATE idempotency_key SET created_at = created_at - interval '25 hours' WHERE key = $1", f"daily-{number}")
    body(await editor.post("/api/v1/tags", json={"name": f"{name}, again"}, headers=headers), 201)
    await db.execute("UPDATE idempotency_key SET created_at = created_at - interval '25 hours' WHERE key = $1", f"daily-{number}")
    async with application.fastapi.state.session_factory() as session:
        assert await run_crud_action(session, sweep_idempotency, session) >= 1
    assert await db.fetchval("SELECT count(*) FROM idempotency_key WHERE key = $1", f"daily-{number}") == 0


# --- JSON Patch -------------------------------------------------------------------------------------------------------


async def test_a_json_patch_changes_the_write_document(editor: httpx.AsyncClient, make: Make) -> None:
    one, two = (await make("tags"))["slug"], (await make("tags"))["slug"]
    article = await make("articles", tags=[one], keywords=["a", "b"])
    path = f"/api/v1/articles/{article['id']}"
    operations = [
        {"op": "test", "path": "/tags/0", "value": one},
        {"op": "add", "path": "/tags/-", "value": two},
        {"op": "remove", "path": "/keywords/0"},
        {"op": "copy", "from": "/title", "path": "/meta_title"},
        {"op": "replace", "path": "/language", "value": "ru", "no such member": "is ignored"},
    ]
    answer = await editor.patch(path, json=operations, headers={**await etag(editor, path), **JSON_PATCH})
    shown = body(answer)
    assert [tag["slug"] for tag in shown["tags"]] == [one, two]
    assert (shown["keywords"], shown["meta_title"], shown["language"], shown["version"]) == (["b"], article["title"], "ru", 2)


REFUSED: list[tuple[Any, str]] = [
    ({"op": "add"}, "/body"),
    ([{"op": "grow", "path": "/name"}], "/body/0/op"),
    ([{"op": "add", "path": "name", "value": 1}], "/body/0/path"),
    ([{"op": "add", "path": "/name"}], "/body/0"),
    ([{"op": "copy", "path": "/name"}], "/body/0"),
    ([{"op": "remove", "path": "/no_such_field"}], "/body/0"),
    ([{"op": "test", "path": "/name", "value": "Another"}], "/body/0"),
    ([{"op": "remove", "path": ""}], "/body/0"),
    ([{"op": "replace", "path": "", "value": []}], "/body"),
    ([{"op": "add", "path": "/aliases/7", "value": {}}], "/body/0"),
    ([{"op": "add", "path": "/aliases/0a", "value": {}}], "/body/0"),
    ([{"op": "add", "path": "/version", "value": 7}], "/body/version"),
    ([{"op": "add", "path": "/colour", "value": "red"}], "/body/colour"),
    ([{"op": "replace", "path": "/wingspan_m", "value": -1}], "/body/wingspan_m"),
    ([{"op": "remove", "path": "/name"}], "/body/name"),
    ([{"op": "add", "path": "/name", "value": "\0"}], "/body/name"),
    ([{"op": "copy", "from": "/purposes", "path": "/purposes/-"}] * 1001, "/body"),
    ([{"op": "copy", "from": "", "path": "/names"}] * 40, "/body/"),
    (
        [{"op": "add", "path": "/purposes", "value": [0] * 1000}, *[{"op": "copy", "from": "/purposes", "path": "/purposes/-"}] * 40],
        "/body/",
    ),
]


@pytest.mark.parametrize(("operations", "pointer"), REFUSED)
async def test_a_json_patch_that_does_not_fit_is_422(operations: Any, pointer: str, editor: httpx.AsyncClient, make: Make) -> None:
    aircraft = await make("aircraft")
    path = f"/api/v1/aircraft/{aircraft['id']}"
    answer = await editor.patch(path, json=operations, headers={**await etag(editor, path), **JSON_PATCH})
    (error, *_) = assert_problem(answer, 422, "validation_error")["errors"]
    assert error["pointer"].startswith(pointer) if pointer.endswith("/") else error["pointer"] == pointer
    assert body(await editor.get(path)) == aircraft


async def test_a_patch_of_another_media_type_is_415_and_says_which(editor: httpx.AsyncClient, make: Make) -> None:
    path = f"/api/v1/tags/{(await make('tags'))['id']}"
    answer = await editor.patch(path, content=b"[]", headers={**await etag(editor, path), "Content-Type": "application/json-patch"})
    assert_problem(answer, 415, "unsupported_media_type")
    assert "application/json-patch+json" in answer.headers["accept-patch"]
