"""What a write accepts, what it refuses by name, and what it answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.factories.registry import FACTORIES
from tests.support.application import assert_problem, body
from tests.support.entities import KINDS, RELATIONS, SERVICES, Relation, empty_fields, write_document

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tests.conftest import Make

JSON = "application/json"
LISTS = [relation for relation in RELATIONS if relation.is_list]


def findings(answer: httpx.Response) -> set[tuple[str, str]]:
    """Return where a 422 finds fault, and with what."""
    return {(error["pointer"], error["code"]) for error in assert_problem(answer, 422, "validation_error")["errors"]}


async def etag_of(client: httpx.AsyncClient, path: str) -> dict[str, str]:
    """Return the header that names the current version."""
    return {"If-Match": (await client.get(path)).headers["etag"]}


# --- every wrong field is named at once -------------------------------------------------------------------------------


async def test_422_names_each_wrong_field_of_an_aircraft(editor: httpx.AsyncClient, make: Make) -> None:
    document = {
        "name": " ",
        "category": "boat",
        "slug": "Not-A-Slug",
        "first_flight": "1941-13",
        "wingspan_m": -1,
        "crew": "two",
        "icao_designator": "lower",
        "purposes": ["attack", "attack"],
        "names": {"en": ""},
        "disputed": {"no_such_field": ["1"]},
        "aliases": [{"name": "A", "kind": "other"}, {"name": "B", "kind": "no such kind", "colour": "red"}],
        "countries": ["fr", "not a reference"],
        "designers": [{"designer": "a", "role": "r"}, {"designer": {"name": "B"}, "role": ""}, {"role": "r"}],
        "manufacturers": [{"manufacturer": "a", "from": "1941-13", "to": "1945/1941", "quantity": -1}],
        "engines": [{"engine": "a"}, {"engine": "a", "count": 2}],
        "design_bureau": 7,
        "lineage": [{"aircraft": "a", "type": "no such type"}],
        "sources": [{"title": "T"}, {"url": "nowhere", "year": 0}],
        "colour": "red",
        "version": 7,
        "articles_count": 1,
        "a/b~c": 1,
    }
    expected = {
        ("/body/name", "string_too_short"),
        ("/body/category", "literal_error"),
        ("/body/slug", "string_pattern_mismatch"),
        ("/body/first_flight", "invalid_date"),
        ("/body/wingspan_m", "greater_than"),
        ("/body/crew", "int_type"),
        ("/body/icao_designator", "string_pattern_mismatch"),
        ("/body/purposes", "duplicate_item"),
        ("/body/names/en", "string_too_short"),
        ("/body/disputed", "unknown_field"),
        ("/body/aliases/1/kind", "literal_error"),
        ("/body/aliases/1/colour", "unknown_field"),
        ("/body/countries/1", "invalid_reference"),
        ("/body/designers/1/designer", "invalid_reference"),
        ("/body/designers/1/role", "string_too_short"),
        ("/body/designers/2/designer", "missing"),
        ("/body/manufacturers/0/from", "invalid_date"),
        ("/body/manufacturers/0/to", "invalid_date"),
        ("/body/manufacturers/0/quantity", "greater_than_equal"),
        ("/body/engines", "duplicate_item"),
        ("/body/design_bureau", "invalid_reference"),
        ("/body/lineage/0/type", "literal_error"),
        ("/body/sources/1/title", "missing"),
        ("/body/sources/1/url", "invalid_url"),
        ("/body/sources/1/year", "greater_than_equal"),
        ("/body/colour", "unknown_field"),
        ("/body/version", "read_only_field"),
        ("/body/articles_count", "read_only_field"),
        ("/body/a~1b~0c", "unknown_field"),
    }
    assert findings(await editor.post("/api/v1/aircraft", json=document)) == expected
    path = f"/api/v1/aircraft/{(await make('aircraft'))['slug']}"
    headers = await etag_of(editor, path)
    assert findings(await editor.put(path, json=document, headers=headers)) == expected
    assert findings(await editor.patch(path, json=document, headers=headers)) == expected


async def test_422_names_a_wrong_key_of_an_object(editor: httpx.AsyncClient, number: int) -> None:
    document = {**FACTORIES["countries"].minimal(number), "names": {"no language": "N"}}
    assert findings(await editor.post("/api/v1/countries", json=document)) == {("/body/names/no language", "string_pattern_mismatch")}


@pytest.mark.parametrize("kind", KINDS)
async def test_422_names_each_field_of_a_wrong_type(kind: str, editor: httpx.AsyncClient, make: Make) -> None:
    entity = await make(kind)
    path = f"/api/v1/{kind}/{entity['slug']}"
    headers = await etag_of(editor, path)
    fields = list(write_document(kind, entity))
    wrong: dict[str, Any] = {field: [[[]]] for field in fields}  # no field is a list of lists of lists
    for answer in (
        await editor.post(f"/api/v1/{kind}", json=wrong),
        await editor.put(path, json=wrong, headers=headers),
        await editor.patch(path, json=wrong, headers=headers),
    ):
        assert {pointer.split("/")[2] for pointer, _ in findings(answer)} == set(fields)


@pytest.mark.parametrize("kind", KINDS)
async def test_422_names_each_missing_unknown_and_read_only_field(kind: str, editor: httpx.AsyncClient, make: Make) -> None:
    entity = await make(kind)
    path = f"/api/v1/{kind}/{entity['slug']}"
    headers = await etag_of(editor, path)
    write = SERVICES[kind].write_schema.model_fields
    required = {(f"/body/{info.alias or name}", "missing") for name, info in write.items() if info.is_required()}
    read_only = set(entity) - {info.alias or name for name, info in write.items()}
    assert {"id", "version", "created_at", "updated_at", "created_by", "updated_by"} <= read_only
    refused = {("/body/no_such_field", "unknown_field"), *((f"/body/{key}", "read_only_field") for key in read_only)}
    document = {"no_such_field": 1, **{key: entity[key] for key in read_only}}
    assert findings(await editor.post(f"/api/v1/{kind}", json=document)) == required | refused
    assert findings(await editor.put(path, json=document, headers=headers)) == required | refused
    assert findings(await editor.patch(path, json=document, headers=headers)) == refused
    emptied = {pointer.removeprefix("/body/"): None for pointer, _ in required}
    assert {pointer for pointer, _ in findings(await editor.patch(path, json=emptied, headers=headers))} == {p for p, _ in required}
    assert body(await editor.get(path)) == entity


@pytest.mark.parametrize("document", [[], "text", 1, None, True])
async def test_a_body_that_is_no_object_is_422(document: Any, editor: httpx.AsyncClient, make: Make) -> None:
    path = f"/api/v1/tags/{(await make('tags'))['slug']}"
    content, headers = json.dumps(document).encode(), {**await etag_of(editor, path), "Content-Type": JSON}
    for answer in (
        await editor.post("/api/v1/tags", content=content, headers=headers),
        await editor.put(path, content=content, headers=headers),
        await editor.patch(path, content=content, headers=headers),
    ):
        assert {pointer for pointer, _ in findings(answer)} == {"/body"}


# --- references -------------------------------------------------------------------------------------------------------

FORMS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "slug": lambda target: target["slug"],
    "id": lambda target: target["id"],
    "ID": lambda target: target["id"].upper(),
    "{slug}": lambda target: {"slug": target["slug"]},
    "{id}": lambda target: {"id": target["id"]},
    "{id, the rest is not read}": lambda target: {"id": target["id"], "slug": "no-such-entry", "name": 7},
    "as shown": lambda target: {key: target[key] for key in ("id", "slug", "name", "title", "code") if key in target},
}
CODE_FORMS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "code": lambda target: target["code"],
    "{code}": lambda target: {"code": target["code"]},
}


@pytest.mark.parametrize("relation", RELATIONS, ids=str)
async def test_a_reference_may_be_a_slug_an_id_a_code_or_an_object(
    relation: Relation, editor: httpx.AsyncClient, make: Make, number: int
) -> None:
    target, owner = await make(relation.target), await make(relation.owner)
    path = f"/api/v1/{relation.owner}/{owner['id']}"
    forms = {**FORMS, **(CODE_FORMS if relation.target == "countries" else {})}
    first = await editor.patch(
        path, json={relation.field: await relation.value([target["slug"]], number, make)}, headers=await etag_of(editor, path)
    )
    assert [shown["id"] for shown in relation.shown(body(first))] == [target["id"]]
    value = body(first)[relation.field]
    for form, write in forms.items():
        ref = write(target)
        named = ref if not relation.is_list else [ref if relation.nested is None else {**value[0], relation.nested: ref}]
        answer = await editor.patch(path, json={relation.field: named}, headers={"If-Match": first.headers["etag"]})
        assert body(answer) == body(first), form  # the same reference, differently named: no change


@pytest.mark.parametrize("relation", RELATIONS, ids=str)
async def test_422_names_each_reference_that_nothing_answers_to(
    relation: Relation, editor: httpx.AsyncClient, make: Make, number: int
) -> None:
    known = (await make(relation.target))["slug"]
    unknown = ["no-such-entry", "00000000-0000-4000-8000-000000000000", *(["ZZZZ"] if relation.target == "countries" else [])]
    path = f"/api/v1/{relation.owner}/{(await make(relation.owner))['id']}"
    headers = await etag_of(editor, path)
    nested = f"/{relation.nested}" if relation.nested else ""
    for refs in [[known, *unknown]] if relation.is_list else [[ref] for ref in unknown]:
        value = await relation.value(refs, number, make)
        indices = [f"/{index}{nested}" for index in range(1, len(refs))] if relation.is_list else [""]
        places = [f"/body/{relation.field}{index}" for index in indices]
        expected = {(place, "unknown_reference") for place in places}
        document = {**FACTORIES[relation.owner].minimal(number), relation.field: value}
        assert findings(await editor.post(f"/api/v1/{relation.owner}", json=document)) == expected
        assert findings(await editor.put(path, json=document, headers=headers)) == expected
        assert findings(await editor.patch(path, json={relation.field: value}, headers=headers)) == expected


NO_REFERENCES: list[Any] = ["Not A Slug", "a--b", "-a", "a_b", "é", "x" * 121, "", 7, True, [], {}, {"name": "N"}]
NO_REFERENCES += ["{00000000-0000-4000-8000-000000000000}", "urn:uuid:00000000-0000-4000-8000-000000000000"]


@pytest.mark.parametrize("ref", NO_REFERENCES)
async def test_what_cannot_be_a_reference_is_422(ref: Any, editor: httpx.AsyncClient) -> None:
    document = {"name": "N", "category": "airplane", "design_bureau": ref, "countries": [ref]}
    expected = {("/body/design_bureau", "invalid_reference"), ("/body/countries/0", "invalid_reference")}
    assert findings(await editor.post("/api/v1/aircraft", json=document)) == expected


@pytest.mark.parametrize("relation", LISTS, ids=str)
async def test_naming_an_entity_twice_is_422_whatever_it_is_called(
    relation: Relation, editor: httpx.AsyncClient, make: Make, number: int
) -> None:
    target = await make(relation.target)
    path = f"/api/v1/{relation.owner}/{(await make(relation.owner))['id']}"
    headers = await etag_of(editor, path)
    for refs in ([target["slug"], target["slug"]], [target["slug"], target["id"]], [{"id": target["id"]}, target["slug"]]):
        value = await relation.value(refs, number, make)
        document = {**FACTORIES[relation.owner].minimal(number), relation.field: value}
        expected = {(f"/body/{relation.field}", "duplicate_item")}
        assert findings(await editor.post(f"/api/v1/{relation.owner}", json=document)) == expected
        assert findings(await editor.put(path, json=document, headers=headers)) == expected
        assert findings(await editor.patch(path, json={relation.field: value}, headers=headers)) == expected


# An aircraft in its own lineage is a cycle.
TO_ITSELF = [relation for relation in RELATIONS if relation.owner == relation.target and relation.field != "lineage"]


@pytest.mark.parametrize("relation", TO_ITSELF, ids=str)
async def test_an_entity_that_refers_to_itself_is_422(relation: Relation, editor: httpx.AsyncClient, make: Make, number: int) -> None:
    entity = await make(relation.owner)
    path = f"/api/v1/{relation.owner}/{entity['id']}"
    value = await relation.value([entity["slug"]], number, make)
    answer = await editor.patch(path, json={relation.field: value}, headers=await etag_of(editor, path))
    place = f"/body/{relation.field}/0" if relation.is_list else f"/body/{relation.field}"
    assert findings(answer) == {(place, "invalid_value")}


# --- PUT and PATCH ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_put_does_not_name_is_empty(kind: str, editor: httpx.AsyncClient, make: Make, number: int) -> None:
    created = await editor.post(f"/api/v1/{kind}", json=await FACTORIES[kind].full(number, make))
    shown, minimal = body(created, 201), FACTORIES[kind].minimal(number)
    path = f"/api/v1/{kind}/{shown['id']}"
    replaced = body(await editor.put(path, json=minimal, headers={"If-Match": created.headers["etag"]}))
    expected = {**empty_fields(kind), **minimal, "slug": shown["slug"]}
    assert write_document(kind, replaced) == expected
    assert replaced["version"] == 2
    assert body(await editor.get(path)) == replaced


@pytest.mark.parametrize("kind", KINDS)
async def test_null_empties_each_optional_field(kind: str, editor: httpx.AsyncClient, make: Make, number: int) -> None:
    created = await editor.post(f"/api/v1/{kind}", json=await FACTORIES[kind].full(number, make))
    shown, empty = body(created, 201), empty_fields(kind)
    path = f"/api/v1/{kind}/{shown['id']}"
    patched = body(await editor.patch(path, json=dict.fromkeys(empty), headers={"If-Match": created.headers["etag"]}))
    assert write_document(kind, patched) == {**write_document(kind, shown), **empty}


async def test_a_patch_merges_objects_and_replaces_arrays_whole(editor: httpx.AsyncClient, make: Make) -> None:
    aircraft = await make(
        "aircraft", names={"en": "A", "ru": "Б"}, purposes=["attack", "military"], aliases=[{"name": "N", "language": "en"}]
    )
    path = f"/api/v1/aircraft/{aircraft['id']}"
    changes = {"names": {"de": "C", "ru": None}, "purposes": ["bomber"], "aliases": [{"name": "M"}]}
    patched = body(await editor.patch(path, json=changes, headers=await etag_of(editor, path)))
    assert patched["names"] == {"en": "A", "de": "C"}
    assert patched["purposes"] == ["bomber"]
    assert patched["aliases"] == [{"name": "M", "kind": "other", "language": None}]

    fact = await make("facts", source={"title": "T", "year": 1980})
    path = f"/api/v1/facts/{fact['id']}"
    patched = body(await editor.patch(path, json={"source": {"year": None, "author": "A"}}, headers=await etag_of(editor, path)))
    assert (patched["source"]["title"], patched["source"]["year"], patched["source"]["author"]) == ("T", None, "A")
    emptied = await editor.patch(path, json={"source": {"title": None}}, headers=await etag_of(editor, path))
    assert {pointer for pointer, _ in findings(emptied)} == {"/body/source/title"}
    wrong = await editor.patch(path, json={"source": {"year": 0, "colour": "red"}}, headers=await etag_of(editor, path))
    assert findings(wrong) == {("/body/source/year", "greater_than_equal"), ("/body/source/colour", "unknown_field")}
    replaced = await editor.patch(path, json={"source": None}, headers=await etag_of(editor, path))
    assert body(replaced)["source"] is None
    bare = await editor.patch(path, json={"source": {"author": "A"}}, headers={"If-Match": replaced.headers["etag"]})
    assert findings(bare) == {("/body/source/title", "missing")}  # merged into nothing


@pytest.mark.parametrize("url", ["https://example.org", "HTTPS://Example.org:443/A%2fb/../c?q=ü", "https://пример.рф/путь?q=Ж#я"])
async def test_a_web_address_is_kept_as_it_was_written(
    url: str, editor: httpx.AsyncClient, make: Make, anonymous: httpx.AsyncClient
) -> None:
    fact = await make("facts", source={"title": "T", "url": url})
    assert fact["source"]["url"] == url
    assert body(await anonymous.get(f"/api/v1/facts/{fact['slug']}"))["source"]["url"] == url


@pytest.mark.parametrize(
    "url", ["nowhere", "ftp://example.org", "javascript:alert(1)", "https://", "https://exa mple.org", "https://a\u0000"]
)
async def test_anything_else_is_no_web_address(url: str, editor: httpx.AsyncClient, number: int) -> None:
    document = {"text": f"Fact with an address {number}.", "source": {"title": "T", "url": url}}
    problem = assert_problem(await editor.post("/api/v1/facts", json=document), 422, "validation_error")
    assert [error["pointer"] for error in problem["errors"]] == ["/body/source/url"]
