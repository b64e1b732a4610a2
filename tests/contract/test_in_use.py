"""Deleting what others refer to: refused, with a list of who refers; never a silent cascade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import inspect

from fastapi_application.core.db import Base
from fastapi_application.crud.models import Link, all_kinds
from tests.factories.registry import FACTORIES
from tests.support.application import assert_problem, body
from tests.support.entities import KINDS, RELATIONS, Relation

if TYPE_CHECKING:
    from collections.abc import Iterator

    import asyncpg
    import httpx

    from tests.conftest import Make

LINKS = [mapper.class_ for mapper in Base.registry.mappers if issubclass(mapper.class_, Link)]


def relations_of_the_tables() -> Iterator[tuple[str, str, str]]:
    """Yield every foreign key from one entity to another: the owner's kind, its attribute, the target's kind."""
    kinds = {model.__table__: kind for kind, model in all_kinds().items()}
    for kind, model in all_kinds().items():
        for column in inspect(model).local_table.c:
            for key in column.foreign_keys:
                if key.column.table in kinds:
                    yield kind, column.name.removesuffix("_id"), kinds[key.column.table]
        for relationship in inspect(model).relationships:
            link = relationship.mapper.class_
            if link in LINKS and relationship.uselist:
                target = inspect(link).relationships[link.__target__].mapper.class_
                yield kind, relationship.key, target.__kind__


async def delete(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """Delete the current version."""
    return await client.delete(path, headers={"If-Match": (await client.get(path)).headers["etag"]})


def test_every_foreign_key_to_an_entity_is_tested() -> None:
    assert {(relation.owner, relation.field, relation.target) for relation in RELATIONS} == set(relations_of_the_tables())
    assert len(RELATIONS) >= len(LINKS)


@pytest.mark.parametrize("relation", RELATIONS, ids=str)
async def test_what_is_referred_to_stays_until_nothing_refers_to_it(
    relation: Relation, editor: httpx.AsyncClient, make: Make, number: int
) -> None:
    target = await make(relation.target)
    path = f"/api/v1/{relation.target}/{target['id']}"
    value = await relation.value([target["slug"]], number, make)
    # In the order of their slugs the second comes first.
    owners = [await make(relation.owner, slug=f"{prefix}-{relation.owner}-{number}", **{relation.field: value}) for prefix in "ba"]
    before = body(await editor.get(path))
    assert before["version"] == 1

    for count, first, gone in ((2, owners[1], owners[0]), (1, owners[1], owners[1])):
        problem = assert_problem(await delete(editor, path), 409, "in_use")
        assert problem["references"] == [{"kind": relation.owner, "slug": first["slug"], "count": count}]
        remaining = owners[-count:]
        for owner in remaining:
            assert body(await editor.get(f"/api/v1/{relation.owner}/{owner['id']}"))[relation.field] == owner[relation.field]
        assert (await delete(editor, f"/api/v1/{relation.owner}/{gone['id']}")).status_code == 204
        after = body(await editor.get(path))
        assert {key: after[key] for key in ("version", "updated_at")} == {key: before[key] for key in ("version", "updated_at")}

    assert (await delete(editor, path)).status_code == 204
    assert_problem(await editor.get(path), 404, "not_found")


async def test_several_kinds_that_refer_are_all_named(editor: httpx.AsyncClient, make: Make) -> None:
    country = (await make("countries"))["slug"]
    owners: dict[str, list[dict[str, Any]]] = {
        "aircraft": [await make("aircraft", countries=[country])],
        "engines": [await make("engines", country=country) for _ in range(3)],
        "manufacturers": [await make("manufacturers", country=country)],
    }
    problem = assert_problem(await delete(editor, f"/api/v1/countries/{country}"), 409, "in_use")
    expected = [{"kind": kind, "slug": min(item["slug"] for item in items), "count": len(items)} for kind, items in owners.items()]
    assert sorted(problem["references"], key=lambda item: item["kind"]) == expected


async def test_an_owner_that_refers_in_two_ways_is_counted_once(editor: httpx.AsyncClient, make: Make) -> None:
    older = await make("aircraft")
    edges = [{"aircraft": older["slug"], "type": kind} for kind in ("variant_of", "replaces")]
    newer = await make("aircraft", lineage=edges)
    problem = assert_problem(await delete(editor, f"/api/v1/aircraft/{older['id']}"), 409, "in_use")
    assert problem["references"] == [{"kind": "aircraft", "slug": newer["slug"], "count": 1}]


@pytest.mark.parametrize("kind", KINDS)
async def test_deleting_an_owner_takes_its_own_links_only(
    kind: str, editor: httpx.AsyncClient, make: Make, number: int, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    document = await FACTORIES[kind].full(number, make)
    # Two owners of the very same links.
    twins = [body(await editor.post(f"/api/v1/{kind}", json=document | twin), 201) for twin in await _twins(kind, number)]
    model = all_kinds()[kind]
    owned = [link for link in LINKS if inspect(link).relationships[link.__owner__].mapper.class_ is model]

    async def links(entity: dict[str, Any]) -> list[int]:
        statements = [f"SELECT count(*) FROM {link.__tablename__} WHERE {link.__owner__}_id = '{entity['id']}'" for link in owned]  # noqa: S608
        return [await db.fetchval(statement) for statement in statements]

    gone, other = twins
    assert await links(gone) == await links(other)
    assert all(await links(gone))
    kept = await links(other)
    before = body(await editor.get(f"/api/v1/{kind}/{other['id']}"))
    assert (await delete(editor, f"/api/v1/{kind}/{gone['id']}")).status_code == 204
    assert await links(gone) == [0] * len(owned)
    assert await links(other) == kept
    assert body(await editor.get(f"/api/v1/{kind}/{other['id']}")) == before
    assert await db.fetchval("SELECT count(*) FROM entity_slug WHERE entity_id = $1::uuid", gone["id"]) == 0


async def _twins(kind: str, number: int) -> list[dict[str, Any]]:
    """Return what two entities of the same document must differ in: a unique code, where a kind has one."""
    factory = FACTORIES[kind]
    own, other = factory.minimal(number), factory.minimal(number + 8000)
    return [{key: document[key] for key in ("code",) if key in document} for document in (own, other)]
