"""Reverse lists: the first twenty that refer to an entity, by name, with what the relation says, and how many there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import inspect

from fastapi_application.crud.fields import fields_of
from fastapi_application.crud.models import Link
from fastapi_application.crud.read_query import ReverseCount, ReverseList
from tests.contract.kinds import ICAO, KINDS, SERVICES, WRITABLE, if_match, make_icao_type, write_fields
from tests.factories.registry import FACTORIES
from tests.support.application import assert_problem, body

if TYPE_CHECKING:
    from collections.abc import Iterator

    import asyncpg
    import httpx

    from tests.conftest import Make

ARTICLES = "articles"


@dataclass(frozen=True)
class Relation:
    """A reverse list: where it is shown, and the field of the owner that fills it."""

    shown_on: str
    key: str
    owner: str
    written: str
    nested: str | None
    """The key of the reference inside an object of the owner's list; empty for a list of references, None for one."""


def _relations() -> Iterator[Relation]:
    for kind in KINDS:
        for field in fields_of(SERVICES[kind].detail_schema):
            reverse = field.marker(ReverseList)
            if reverse is not None:
                yield _relation(kind, field.key, reverse)


def _relation(kind: str, key: str, reverse: ReverseList) -> Relation:
    if not issubclass(reverse.model, Link):
        return Relation(kind, key, reverse.model.__kind__, reverse.attribute, None)
    for owner in WRITABLE:
        relationships = inspect(SERVICES[owner].model).relationships
        for field in write_fields(owner):
            if field.name in relationships and relationships[field.name].mapper.class_ is reverse.model:
                return Relation(kind, key, owner, field.key, reverse.attribute if field.schema else "")
    raise LookupError(reverse)


RELATIONS = list(_relations())
OWNERS = sorted({relation.owner for relation in RELATIONS})
# In the order that the rules give them: without regard to case and accents.
NAMES = ["A last one", "arado", "Bü 131", "de Havilland", "Dewoitine", "eagle", "Éole", "Fokker", *(f"G {n:02}" for n in range(14))]


def reference(relation: Relation, slug: str) -> Any:
    """Return what the owner writes to refer to a slug."""
    if relation.nested is None:
        return slug
    return [{relation.nested: slug} if relation.nested else slug]


async def publish(administrator: httpx.AsyncClient, article: dict[str, Any]) -> None:
    """Make an article public."""
    path = f"/api/v1/articles/{article['id']}"
    body(await administrator.post(f"{path}/publish", headers=await if_match(administrator, path)))


def test_every_kind_that_is_referred_to_shows_it() -> None:
    assert {"aircraft", "designers", "articles", "tags", "translations"} <= {relation.key for relation in RELATIONS}
    for kind in KINDS:
        for field in fields_of(SERVICES[kind].detail_schema):
            if field.marker(ReverseCount):
                assert field.key.removesuffix("_count") in SERVICES[kind].detail_schema.model_fields


@pytest.mark.parametrize("owner", OWNERS)
async def test_first_twenty_by_name_and_the_count_of_all(
    owner: str, make: Make, anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, administrator: httpx.AsyncClient
) -> None:
    """The first by name is left unpublished, where that exists: editors see it, the public does not."""
    relations = [relation for relation in RELATIONS if relation.owner == owner]
    targets = {relation.written: await make(relation.shown_on) for relation in relations}
    for relation in relations:
        if relation.shown_on == ARTICLES:
            await publish(administrator, targets[relation.written])
    document = {relation.written: reference(relation, targets[relation.written]["slug"]) for relation in relations}
    label = SERVICES[owner].model.__label__
    made = {name: await make(owner, **document, **{label: name}) for name in reversed(NAMES)}
    if owner == ARTICLES:
        for name in NAMES[1:]:
            await publish(administrator, made[name])
    for relation in relations:
        path = f"/api/v1/{relation.shown_on}/{targets[relation.written]['slug']}"
        for client, names in ((editor, NAMES), (anonymous, NAMES[1:] if owner == ARTICLES else NAMES)):
            shown = body(await client.get(path))
            items = shown[relation.key]
            title = "title" if owner == ARTICLES else "name"
            assert [item[title] for item in items] == names[:20]
            assert [(item["id"], item["slug"]) for item in items] == [(made[name]["id"], made[name]["slug"]) for name in names[:20]]
            if f"{relation.key}_count" in shown:
                assert shown[f"{relation.key}_count"] == len(names)
            else:
                assert relation.key == "translations"


async def test_attributes_of_the_relation_are_shown_on_both_sides(make: Make, anonymous: httpx.AsyncClient) -> None:
    designer, maker, bureau = await make("designers"), await make("manufacturers"), await make("design-bureaus")
    built = {"from": "1941", "to": "1945-05~", "quantity": 15_000}
    aircraft = await make(
        "aircraft",
        designers=[{"designer": designer["slug"], "role": "chief designer"}],
        manufacturers=[{"manufacturer": maker["slug"], **built}],
    )
    times = {"role": "head", "from": "193X", "to": "1970"}
    head = await make("designers", design_bureaus=[{"design_bureau": bureau["slug"], **times}])

    def named(entity: dict[str, Any]) -> dict[str, Any]:
        return {key: entity[key] for key in ("id", "slug", "name")}

    async def detail(kind: str, entity: dict[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = body(await anonymous.get(f"/api/v1/{kind}/{entity['id']}"))
        return shown

    assert (await detail("designers", designer))["aircraft"] == [{**named(aircraft), "role": "chief designer"}]
    assert (await detail("manufacturers", maker))["aircraft"] == [{**named(aircraft), **built}]
    assert (await detail("design-bureaus", bureau))["designers"] == [{**named(head), **times}]
    shown = await detail("aircraft", aircraft)
    assert shown["designers"] == [{"designer": named(designer), "role": "chief designer"}]
    assert shown["manufacturers"] == [{"manufacturer": named(maker), **built}]


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: f"{relation.shown_on}-{relation.key}")
async def test_reverse_lists_are_empty_without_referrers_and_follow_changes(
    relation: Relation, make: Make, editor: httpx.AsyncClient
) -> None:
    target = await make(relation.shown_on)
    path = f"/api/v1/{relation.shown_on}/{target['id']}"
    assert target[relation.key] == []
    assert target.get(f"{relation.key}_count", 0) == 0
    owner = await make(relation.owner, **{relation.written: reference(relation, target["slug"])})
    before = body(await editor.get(path))
    assert [item["id"] for item in before[relation.key]] == [owner["id"]]
    assert before["version"] == target["version"], "the owner of the relation has changed, not its target"
    owner_path = f"/api/v1/{relation.owner}/{owner['id']}"
    emptied: dict[str, Any] = {relation.written: None if relation.nested is None else []}
    body(await editor.patch(owner_path, json=emptied, headers=await if_match(editor, owner_path)))
    assert body(await editor.get(path)) == target


@pytest.mark.parametrize("kind", sorted({relation.shown_on for relation in RELATIONS}))
async def test_reverse_lists_are_read_only(kind: str, make: Make, editor: httpx.AsyncClient, number: int) -> None:
    entity = await make(kind)
    keys = [field.key for field in fields_of(SERVICES[kind].detail_schema) if field.marker(ReverseList) or field.marker(ReverseCount)]
    path = f"/api/v1/{kind}/{entity['id']}"
    given = {key: entity[key] for key in keys}
    for answer in (
        await editor.post(f"/api/v1/{kind}", json={**FACTORIES[kind].minimal(number + 2000), **given}),
        await editor.patch(path, json=given, headers=await if_match(editor, path)),
    ):
        problem = assert_problem(answer, 422, "validation_error")
        assert {(error["pointer"], error["code"]) for error in problem["errors"]} == {(f"/body/{key}", "read_only_field") for key in keys}


@pytest.mark.parametrize("kind", sorted({relation.shown_on for relation in RELATIONS if relation.owner == ARTICLES}))
async def test_drafts_are_neither_listed_nor_counted_for_the_public(
    kind: str,
    make: Make,
    anonymous: httpx.AsyncClient,
    reader: httpx.AsyncClient,
    editor: httpx.AsyncClient,
    administrator: httpx.AsyncClient,
) -> None:
    relation = next(relation for relation in RELATIONS if relation.owner == ARTICLES and relation.shown_on == kind)
    target = await make(kind)
    if kind == ARTICLES:
        await publish(administrator, target)
    article = await make(ARTICLES, **{relation.written: reference(relation, target["slug"])})
    path, count = f"/api/v1/{kind}/{target['id']}", f"{relation.key}_count"
    for client in (anonymous, reader):
        shown = body(await client.get(path))
        assert (shown[relation.key], shown.get(count, 0)) == ([], 0)
    shown = body(await editor.get(path))
    assert ([item["id"] for item in shown[relation.key]], shown.get(count, 1)) == ([article["id"]], 1)
    await publish(administrator, article)
    shown = body(await anonymous.get(path))
    assert ([item["id"] for item in shown[relation.key]], shown.get(count, 1)) == ([article["id"]], 1)


async def test_tags_of_a_list_count_what_the_viewer_sees(
    make: Make, anonymous: httpx.AsyncClient, editor: httpx.AsyncClient, administrator: httpx.AsyncClient
) -> None:
    tag = await make("tags")
    await make(ARTICLES, tags=[tag["slug"]])
    await publish(administrator, await make(ARTICLES, tags=[tag["slug"]]))
    for client, count in ((anonymous, 1), (editor, 2)):
        (item,) = body(await client.get("/api/v1/tags", params={"ids": tag["id"]}))["items"]
        assert item["articles_count"] == count


async def test_icao_types_show_the_aircraft_of_their_designator(
    make: Make, anonymous: httpx.AsyncClient, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    made = [await make("aircraft", name=f"Q{n:02}", icao_designator="QRV") for n in reversed(range(22))]
    identifier = await make_icao_type(db, designator="QRV")
    shown = body(await anonymous.get(f"/api/v1/{ICAO}/{identifier}"))
    assert [item["id"] for item in shown["aircraft"]] == [aircraft["id"] for aircraft in reversed(made)][:20]
    assert shown["aircraft_count"] == 22
