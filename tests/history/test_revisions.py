"""Each change is one revision with everything that the entity was; nothing is lost, and any of them can come back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import jsonpatch
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastapi_application.crud.history.diff import MAX_WORDS, json_diff, word_diff
from tests.factories.registry import FACTORIES
from tests.history.steps import etag, patch, revisions, snapshot, step
from tests.support.application import assert_problem, body
from tests.support.entities import KINDS, write_document
from tests.support.seeded import connection_to

if TYPE_CHECKING:
    import asyncpg
    import httpx

    from tests.conftest import Make

    type Connection = asyncpg.Connection[asyncpg.Record]


def about(document: dict[str, Any]) -> dict[str, Any]:
    """Return what a change of an entity cannot but change."""
    return {key: document[key] for key in document if key not in {"version", "updated_at", "updated_by"}}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_life_of_an_entity_is_its_revisions(kind: str, editor: httpx.AsyncClient, make: Make, number: int) -> None:
    factory = FACTORIES[kind]
    created = body(await editor.post(f"/api/v1/{kind}", json=await factory.full(number, make), params={"comment": "New."}), 201)
    path = f"/api/v1/{kind}/{created['id']}"
    changed = await patch(editor, path, factory.changes(number), "Better.")
    assert (await editor.patch(path, json={}, headers=await etag(editor, path))).status_code == 200  # changes nothing
    reverted = body(await step(editor, path, "revert", {"revision": 1}, comment="As it was."))
    assert about(reverted) == about(created)
    assert (await editor.delete(path, params={"comment": "Gone."}, headers=await etag(editor, path))).status_code == 204
    found = await revisions(editor, path)
    assert [(item["number"], item["action"], item["comment"]) for item in found] == [
        (1, "create", "New."),
        (2, "update", "Better."),
        (3, "revert", "As it was."),
        (4, "delete", "Gone."),
    ]
    assert {item["actor"]["id"] for item in found} == {created["created_by"]}
    assert [item["at"] for item in found[:3]] == [created["updated_at"], changed["updated_at"], reverted["updated_at"]]
    for shown, revision in ((created, 1), (changed, 2), (created, 3), (created, 4)):
        assert await snapshot(editor, path, revision) == write_document(kind, shown)
    assert (await editor.get(path)).status_code == 404


async def test_one_patch_is_one_revision_and_the_diff_leads_from_one_to_the_other(editor: httpx.AsyncClient, make: Make) -> None:
    tag, first, second = await make("tags"), await make("designers"), await make("designers")
    article = await make("articles", content="# One\n\nThe first flight was in May.\n")
    path = f"/api/v1/articles/{article['id']}"
    changes = {"content": "# One\n\nThe first flight was in June.\n", "tags": [tag["slug"]], "designers": [first["slug"], second["slug"]]}
    await patch(editor, path, changes)
    assert len(await revisions(editor, path)) == 2
    diff = body(await editor.get(f"{path}/revisions/1/diff/2"))
    old, new = await snapshot(editor, path, 1), await snapshot(editor, path, 2)
    assert jsonpatch.apply_patch(old, diff["patch"]) == new
    assert (diff["from"], diff["to"], list(diff["text"])) == (1, 2, ["content"])
    assert diff["text"]["content"] == [
        {"op": "equal", "text": "# One\n\nThe first flight was in "},
        {"op": "delete", "text": "May"},
        {"op": "insert", "text": "June"},
        {"op": "equal", "text": ".\n"},
    ]
    back = body(await editor.get(f"{path}/revisions/2/diff/1"))
    assert jsonpatch.apply_patch(new, back["patch"]) == old


async def test_a_revision_keeps_what_the_references_were_called_and_revert_finds_them_again(editor: httpx.AsyncClient, make: Make) -> None:
    bureau = await make("design-bureaus")
    aircraft = await make("aircraft", design_bureau=bureau["slug"])
    path = f"/api/v1/aircraft/{aircraft['id']}"
    await patch(editor, path, {"design_bureau": None})
    await patch(editor, f"/api/v1/design-bureaus/{bureau['id']}", {"name": "New name", "slug": f"new-{bureau['slug']}"})
    assert (await snapshot(editor, path, 1))["design_bureau"] == bureau["slug"]
    then = body(await editor.get(path, params={"as_of": aircraft["updated_at"]}))
    assert then["design_bureau"] == aircraft["design_bureau"]
    reverted = body(await step(editor, path, "revert", {"revision": 1}))
    assert reverted["design_bureau"] == {"id": bureau["id"], "slug": f"new-{bureau['slug']}", "name": "New name"}
    assert (await revisions(editor, path))[-1]["comment"] == "Back to revision 1."


async def test_revert_says_what_it_cannot_bring_back(editor: httpx.AsyncClient, make: Make) -> None:
    bureau = await make("design-bureaus")
    path = f"/api/v1/aircraft/{(await make('aircraft', design_bureau=bureau['slug']))['id']}"
    changed = await patch(editor, path, {"design_bureau": None})
    gone = f"/api/v1/design-bureaus/{bureau['id']}"
    assert (await editor.delete(gone, headers=await etag(editor, gone))).status_code == 204
    for number, pointer in ((1, "/body/design_bureau"), (7, "/body/revision")):
        problem = assert_problem(await step(editor, path, "revert", {"revision": number}), 422, "validation_error")
        assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert body(await editor.get(path)) == changed


async def test_order_of_errors_of_a_revert(
    anonymous: httpx.AsyncClient, reader: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make
) -> None:
    path = f"/api/v1/tags/{(await make('tags'))['id']}/revert"
    stale = {"If-Match": '"x"'}
    assert_problem(await anonymous.post(path, json={}), 401, "not_authenticated")
    assert_problem(await reader.post(path, json={}), 403, "forbidden")
    assert_problem(await editor.post(path, content=b"{"), 415, "unsupported_media_type")
    assert_problem(await editor.post(path, content=b"{", headers={"Content-Type": "application/json"}), 400, "malformed_json")
    assert_problem(await editor.post(path, json={}), 428, "precondition_required")
    for document in ({}, {"revision": 0}, {"revision": 2**40}, {"revision": "1"}, {"revision": 1, "more": 1}):
        assert_problem(await editor.post(path, json=document, headers=stale), 422, "validation_error")
    assert_problem(await editor.post("/api/v1/tags/no-such-tag/revert", json={"revision": 1}, headers=stale), 404, "not_found")
    assert_problem(await editor.post(path, json={"revision": 1}, headers=stale), 412, "precondition_failed")


# --- as_of ------------------------------------------------------------------------------------------------------------


async def test_as_of_shows_what_was(anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make) -> None:
    one, two = await make("designers"), await make("designers")
    first = await make("aircraft", crew=1, designers=[{"designer": one["slug"], "role": "r"}])
    path = f"/api/v1/aircraft/{first['slug']}"
    second = await patch(editor, path, {"crew": 2, "designers": [{"designer": two["slug"]}]})
    third = await patch(editor, path, {"crew": 3})

    async def at(moment: str) -> Any:
        return body(await anonymous.get(path, params={"as_of": moment}))

    assert (await at(first["updated_at"]), await at(second["updated_at"]), await at(third["updated_at"])) == (first, second, third)
    before_second = datetime.fromisoformat(second["updated_at"]) - timedelta(microseconds=1)
    assert await at(before_second.isoformat()) == first
    assert await at("2999-01-01T00:00:00+14:00") == third
    too_early = datetime.fromisoformat(first["created_at"]) - timedelta(microseconds=1)
    assert_problem(await anonymous.get(path, params={"as_of": too_early.isoformat()}), 404, "not_found")
    then = await anonymous.get(path, params={"as_of": first["updated_at"]})
    headers = {"If-None-Match": then.headers["etag"]}
    assert (await anonymous.get(path, params={"as_of": first["updated_at"]}, headers=headers)).status_code == 304


@pytest.mark.parametrize(
    "moment",
    [
        "",
        "yesterday",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "1767225600",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-01-01T00:00:00Z\0",
    ],
)
async def test_as_of_is_an_rfc_3339_time(moment: str, anonymous: httpx.AsyncClient, make: Make) -> None:
    path = f"/api/v1/tags/{(await make('tags'))['slug']}"
    problem = assert_problem(await anonymous.get(path, params={"as_of": moment}), 422, "validation_error")
    assert [error["pointer"] for error in problem["errors"]] == ["/query/as_of"]


# --- who may read what --------------------------------------------------------------------------------------------------


async def test_what_is_gone_is_remembered_for_editors_by_its_id(
    anonymous: httpx.AsyncClient, reader: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make
) -> None:
    tag = await make("tags")
    path = f"/api/v1/tags/{tag['id']}"
    assert len(await revisions(anonymous, path)) == 1
    assert (await editor.delete(path, headers=await etag(editor, path))).status_code == 204
    for suffix in ("", "/1", "/1/diff/2"):
        for client in (anonymous, reader):
            assert_problem(await client.get(f"{path}/revisions{suffix}"), 404, "not_found")
        assert (await editor.get(f"{path}/revisions{suffix}")).status_code == 200
        assert_problem(await editor.get(f"/api/v1/tags/{tag['slug']}/revisions{suffix}"), 404, "not_found")
        assert_problem(await editor.get(f"/api/v1/designers/{tag['id']}/revisions{suffix}"), 404, "not_found")


async def test_a_former_slug_leads_to_the_history(anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make) -> None:
    tag = await make("tags")
    await patch(editor, f"/api/v1/tags/{tag['id']}", {"slug": f"new-{tag['slug']}"})
    for suffix in ("", "/1", "/1/diff/2"):
        answer = await anonymous.get(f"/api/v1/tags/{tag['slug']}/revisions{suffix}")
        assert (answer.status_code, answer.headers["location"]) == (308, f"/api/v1/tags/new-{tag['slug']}/revisions{suffix}")


async def test_pages_of_revisions(anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, make: Make) -> None:
    path = f"/api/v1/tags/{(await make('tags'))['id']}"
    for index in range(4):
        await patch(editor, path, {"name": f"Name {index}"})
    answer = await anonymous.get(f"{path}/revisions", params={"size": 2, "page": 2})
    page = body(answer)
    assert [item["number"] for item in page.pop("items")] == [3, 2]
    assert page == {"total": 5, "total_exact": True, "page": 2, "size": 2, "pages": 3}
    assert {'rel="prev"', 'rel="next"', 'rel="first"'} == {part.partition("; ")[2] for part in answer.headers["link"].split(", ")}
    assert body(await anonymous.get(f"{path}/revisions", params={"page": 9}))["items"] == []
    for query in ({"size": 0}, {"size": 101}, {"page": 0}, {"page": 101, "size": 100}, {"sort": "number"}):
        assert_problem(await anonymous.get(f"{path}/revisions", params=query), 422, "validation_error")
    for number in ("0", "x", str(2**31), "-1"):
        assert_problem(await anonymous.get(f"{path}/revisions/{number}"), 422, "validation_error")
    assert_problem(await anonymous.get(f"{path}/revisions/6"), 404, "not_found")
    assert_problem(await anonymous.get(f"{path}/revisions/1/diff/6"), 404, "not_found")


async def test_a_row_without_history_gets_its_first_revision_with_its_first_change(
    editor: httpx.AsyncClient, make: Make, db: Connection
) -> None:
    tag = await make("tags")
    path = f"/api/v1/tags/{tag['id']}"
    await db.execute("DELETE FROM revision WHERE entity_id = $1::uuid", tag["id"])
    await patch(editor, path, {"name": "Changed"})
    assert [(item["number"], item["action"]) for item in await revisions(editor, path)] == [(1, "create"), (2, "update")]
    assert (await snapshot(editor, path, 1))["name"] == tag["name"]


async def test_the_starter_encyclopedia_has_a_history_and_a_feed(seeded: str) -> None:
    async with connection_to(seeded) as connection:
        kinds = await connection.fetch("SELECT kind, count(*), max(number) FROM revision GROUP BY kind")
        assert {row["kind"] for row in kinds} == {*KINDS, "images"}
        assert {row["max"] for row in kinds} == {1}
        articles = "SELECT count(*) FROM revision WHERE kind = 'articles' AND is_public AND state->>'status' = 'published'"
        assert await connection.fetchval(articles) == 76
        created = "SELECT count(DISTINCT entity_id) FROM change WHERE action = 'create'"
        assert await connection.fetchval(created) == await connection.fetchval("SELECT count(*) FROM revision")


# --- differences --------------------------------------------------------------------------------------------------------

TEXTS = st.text(alphabet="ab é\n.*", max_size=60)


@given(TEXTS, TEXTS)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_a_word_diff_holds_both_texts(old: str, new: str) -> None:
    pieces = word_diff(old, new)
    assert "".join(text for op, text in pieces if op != "insert") == old
    assert "".join(text for op, text in pieces if op != "delete") == new
    assert all(left.op != right.op for left, right in pairwise(pieces))


def test_a_long_passage_is_shown_as_replaced_whole() -> None:
    old, new = ("a b " * MAX_WORDS, "b a " * MAX_WORDS)
    assert [op for op, _ in word_diff(old, new)] == ["delete", "insert"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, "a", "b", ""]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b/c", "~d", ""]), inner, max_size=3),
    max_leaves=12,
)


@given(VALUES, VALUES)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_json_diff_makes_the_new_document_of_the_old(old: Any, new: Any) -> None:
    made = jsonpatch.apply_patch({"document": old}, json_diff({"document": old}, {"document": new}))
    assert repr(made) == repr({"document": new}) or made == {"document": new}


EDITS = st.fixed_dictionaries(
    {},
    optional={
        "crew": st.none() | st.integers(0, 9),
        "wingspan_m": st.none() | st.floats(0.125, 99, width=32),
        "first_flight": st.sampled_from([None, "1941", "193X", "1939-10~"]),
        "description": st.none() | st.text(alphabet="ab \n", min_size=1, max_size=30),
        "purposes": st.lists(st.sampled_from(["attack", "military", "bomber"]), unique=True),
        "names": st.dictionaries(st.sampled_from(["en", "ru", "de"]), st.sampled_from(["A", "Б"])),
        "designers": st.lists(st.integers(0, 2), unique=True),
        "countries": st.lists(st.integers(0, 2), unique=True),
    },
)


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(edits=st.lists(EDITS, min_size=1, max_size=2))
async def test_any_edits_can_be_compared_and_taken_back(edits: list[dict[str, Any]], editor: httpx.AsyncClient, make: Make) -> None:
    designers = [(await make("designers"))["slug"] for _ in range(3)]
    countries = [(await make("countries"))["slug"] for _ in range(3)]
    first = await make("aircraft")
    path = f"/api/v1/aircraft/{first['id']}"
    for edit in edits:
        changes = dict(edit)
        if "designers" in edit:
            changes["designers"] = [{"designer": designers[index], "role": "r"} for index in edit["designers"]]
        if "countries" in edit:
            changes["countries"] = [countries[index] for index in edit["countries"]]
        shown = await patch(editor, path, changes)
    last = shown["version"]
    diff = body(await editor.get(f"{path}/revisions/1/diff/{last}"))
    made = jsonpatch.apply_patch(await snapshot(editor, path, 1), diff["patch"])
    assert made == await snapshot(editor, path, last) == write_document("aircraft", shown)
    reverted = await step(editor, path, "revert", {"revision": 1})
    assert about(body(reverted)) == about(first)
    assert body(await editor.get(path, params={"as_of": shown["updated_at"]})) == shown
    assert datetime.fromisoformat(shown["updated_at"]).tzinfo == UTC
