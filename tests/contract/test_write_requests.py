"""The requests around a write's document: media types, JSON itself, the query, and the headers of the answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.factories.registry import FACTORIES
from tests.support.application import assert_problem, body
from tests.support.entities import KINDS, write_document

if TYPE_CHECKING:
    import httpx

    from tests.conftest import Make

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
METHODS = ("POST", "PUT", "PATCH")


async def send(client: httpx.AsyncClient, make: Make, method: str, content: bytes, media_type: str | None) -> httpx.Response:
    """Send a body to the tags."""
    headers = {} if media_type is None else {"Content-Type": media_type}
    if method == "POST":
        return await client.post("/api/v1/tags", content=content, headers=headers)
    path = f"/api/v1/tags/{(await make('tags'))['slug']}"
    etag = (await client.get(path)).headers["etag"]
    return await client.request(method, path, content=content, headers={**headers, "If-Match": etag})


# --- media types and JSON ---------------------------------------------------------------------------------------------

READ_BY_ALL = (JSON, "Application/JSON", "application/json; charset=utf-8", "application/json;charset=UTF-8")


READ_BY_PATCH = (MERGE_PATCH, f"{MERGE_PATCH}; charset=utf-8")
READ = [
    *((method, media_type) for method in METHODS for media_type in READ_BY_ALL),
    *(("PATCH", media_type) for media_type in READ_BY_PATCH),
]


@pytest.mark.parametrize(("method", "media_type"), READ)
async def test_json_is_read(method: str, media_type: str, editor: httpx.AsyncClient, make: Make, number: int) -> None:
    answer = await send(editor, make, method, json.dumps({"name": f"Read {number}"}).encode(), media_type)
    assert body(answer, 201 if method == "POST" else 200)["name"] == f"Read {number}"


READ_BY_NONE = (None, "", "text/plain", "application/x-www-form-urlencoded", "json", "*/*")
NOT_READ = [
    *((method, media_type) for method in METHODS for media_type in READ_BY_NONE),
    ("POST", MERGE_PATCH),
    ("PUT", MERGE_PATCH),
    ("PATCH", "application/vnd.api+json"),
]


@pytest.mark.parametrize(("method", "media_type"), NOT_READ)
async def test_another_media_type_is_415(method: str, media_type: str | None, editor: httpx.AsyncClient, make: Make) -> None:
    answer = await send(editor, make, method, b'{"name": "N"}', media_type)
    assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"{",
        b'{"name": "N",}',
        b"{'name': 'N'}",
        b'{"name": "N"} {}',
        b'{"name": "N", "name": "M"}',
        b'{"name": "N", "category": {"slug": "a", "slug": "b"}}',
        b'{"name": NaN}',
        b'{"name": Infinity}',
        b'{"name": -Infinity}',
        b'{"name": "a\nb"}',
        b'{"name": "\xff"}',
        b'\xef\xbb\xbf{"name": "N"}',
        '{"name": "N"}'.encode("utf-16"),
        b'{"name": ' + b"[" * 33 + b"]" * 33 + b"}",
        b'{"name": ' * 33 + b"1" + b"}" * 33,
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
    ],
    ids=range(19),
)
async def test_what_is_not_one_json_document_is_400(method: str, content: bytes, editor: httpx.AsyncClient, make: Make) -> None:
    assert_problem(await send(editor, make, method, content, JSON), 400, "malformed_json")


@pytest.mark.parametrize("method", METHODS)
async def test_numbers_that_nothing_can_hold_are_422(method: str, editor: httpx.AsyncClient, make: Make) -> None:
    for number in ("1e400", "-1e400", "1" + "0" * 400):
        answer = await send(editor, make, method, f'{{"name": {number}}}'.encode(), JSON)
        problem = assert_problem(answer, 422, "validation_error")
        assert [error["pointer"] for error in problem["errors"]] == ["/body/name"]


# --- the query --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_every_write_takes_a_comment_and_nothing_else(kind: str, editor: httpx.AsyncClient, make: Make, number: int) -> None:
    entity = await make(kind)
    path, other = f"/api/v1/{kind}/{entity['id']}", FACTORIES[kind].minimal(number)
    same = write_document(kind, entity)
    writes = [("POST", f"/api/v1/{kind}", other), ("PUT", path, same), ("PATCH", path, {}), ("DELETE", path, None)]
    for method, target, document in writes:
        headers = {"If-Match": (await editor.get(path)).headers["etag"]}
        content = {} if document is None else {"json": document}
        for query, code in (
            ({"comment": ""}, "string_too_short"),
            ({"comment": "x" * 501}, "string_too_long"),
            ({"fields": "id"}, "unknown_parameter"),
            ({"comment": "x", "page": "1"}, "unknown_parameter"),
        ):
            answer = await editor.request(method, target, params=query, headers=headers, **content)  # type: ignore[arg-type]
            (error,) = assert_problem(answer, 422, "validation_error")["errors"]
            assert (error["pointer"], error["code"]) == (f"/query/{list(query)[-1]}", code)
            if code == "unknown_parameter":
                assert error["allowed"] == ["comment"]
        for comment in ("x", "Комментарий " * 41) if method in {"PUT", "PATCH"} else ("x" * 500,):
            answer = await editor.request(method, target, params={"comment": comment}, headers=headers, **content)  # type: ignore[arg-type]
            assert answer.is_success, answer.text
            headers = {"If-Match": answer.headers.get("etag", "")}


# --- the headers of the answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_answers_of_writes_carry_their_headers(kind: str, editor: httpx.AsyncClient, number: int) -> None:
    document = FACTORIES[kind].minimal(number)
    created = await editor.post(f"/api/v1/{kind}", json=document)
    path = f"/api/v1/{kind}/{body(created, 201)['slug']}"
    assert created.headers["location"] == path
    changed = await editor.patch(path, json=FACTORIES[kind].changes(number), headers={"If-Match": created.headers["etag"]})
    replaced = await editor.put(path, json=document, headers={"If-Match": changed.headers["etag"]})
    for version, answer in enumerate((created, changed, replaced), start=1):
        shown = answer.json()
        assert shown["version"] == version
        assert answer.headers["etag"].startswith(f'"{shown["id"][:8]}.{version}.')
        assert answer.headers["cache-control"] == "private, no-store"
        assert answer.headers["content-type"] == JSON
    read = await editor.get(f"/api/v1/{kind}/{created.json()['id']}")
    assert (read.headers["etag"], body(read)) == (replaced.headers["etag"], replaced.json())
    gone = await editor.delete(f"/api/v1/{kind}/{created.json()['id']}", headers={"If-Match": replaced.headers["etag"]})
    assert (gone.status_code, gone.content) == (204, b"")
    assert gone.headers["cache-control"] == "private, no-store"


async def test_failures_of_writes_are_not_stored_and_name_their_request(editor: httpx.AsyncClient) -> None:
    answer = await editor.post("/api/v1/tags", json={}, headers={"X-Request-ID": "of-this-test"})
    problem = assert_problem(answer, 422, "validation_error")
    assert answer.headers["cache-control"] == "no-store"
    assert (problem["request_id"], problem["instance"]) == ("of-this-test", "/api/v1/tags")
