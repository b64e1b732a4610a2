"""What triggers keep: how many rows have a value, and by which name the owner of a link sorts. The truth is counted beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import inspect

from fastapi_application.crud.fields import fields_of
from fastapi_application.crud.models import Link
from fastapi_application.crud.read_query import ReverseCount
from tests.contract.kinds import KINDS, SERVICES, if_match
from tests.support.seeded import connection_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import asyncpg
    import httpx

    from tests.conftest import Make

type Connection = asyncpg.Connection[asyncpg.Record]

KEPT = "SELECT value, sum(total)::int AS total, sum(public)::int AS public FROM group_count WHERE source = $1 GROUP BY value"
# An article counts for the public while it is published; everything else always does.
COUNTED = """
    SELECT coalesce(({value})::text, '') AS value, count(*)::int AS total,
        (count(*) FILTER (WHERE NOT EXISTS (SELECT FROM article WHERE article.id = {owner} AND status <> 'published')))::int AS public
    FROM {table} AS r GROUP BY 1
"""
DECADE = "edtf_decade(r.first_flight_earliest, r.first_flight_latest)"


def _links() -> list[type[Link]]:
    return sorted(Link.__subclasses__(), key=lambda link: link.__tablename__)


def _columns() -> Iterator[tuple[str, str, str, str]]:
    """Name each column that is counted by: its source, its table, the value and the owner."""
    for name, value in (("category", "r.category"), ("engine_type", "r.engine_type"), ("decade", DECADE)):
        yield f"aircraft.{name}", "aircraft", value, "r.id"
    for reverse in {source.source: source for source in _reverse_counts()}.values():
        model: Any = reverse.model
        owner = f"r.{model.__owner__}_id" if issubclass(model, Link) else "r.id"
        yield reverse.source, model.__tablename__, f"r.{reverse.attribute}_id", owner


def _reverse_counts() -> Iterator[ReverseCount]:
    for kind in KINDS:
        for field in fields_of(SERVICES[kind].detail_schema):
            marker = field.marker(ReverseCount)
            # Whether a tag is public depends on its articles: these few are counted when they are asked for.
            if isinstance(marker, ReverseCount) and marker.model.__tablename__ != "tag":
                yield marker


COLUMNS = sorted(_columns())


async def differences(db: Connection) -> dict[str, Any]:
    """Return what is kept otherwise than it is."""
    wrong: dict[str, Any] = {}
    for source, table, value, owner in COLUMNS:
        kept = {row["value"]: (row["total"], row["public"]) for row in await db.fetch(KEPT, source) if row["total"] or row["public"]}
        there = {
            row["value"]: (row["total"], row["public"]) for row in await db.fetch(COUNTED.format(table=table, value=value, owner=owner))
        }
        if kept != there:
            wrong[source] = set(kept.items()) ^ set(there.items())
    for link in _links():
        owner_table = inspect(link).relationships[link.__owner__].mapper.local_table.name
        # Names from the models.
        names = f"SELECT count(*) FROM {link.__tablename__} AS l JOIN {owner_table} AS o ON o.id = l.{link.__owner__}_id"  # noqa: S608
        if unequal := await db.fetchval(f"{names} WHERE l.sort_name <> o.sort_name"):
            wrong[link.__tablename__] = unequal
    return wrong


def test_everything_that_is_counted_back_is_kept() -> None:
    sources = [source for source, *_ in COLUMNS]
    assert {"article_tag.tag_id", "aircraft_engine.engine_id", "aircraft.design_bureau_id", "aircraft.decade"} <= set(sources)
    assert len(sources) == len(set(sources)) >= 13


@pytest.mark.parametrize("source", [source for source, *_ in COLUMNS])
async def test_a_table_that_a_new_column_is_counted_by_has_its_triggers(source: str, db: Connection) -> None:
    triggers = await db.fetch(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = $1::text::regclass AND tgname LIKE 'count_groups_%'", source.partition(".")[0]
    )
    assert sorted(row["tgname"] for row in triggers) == [f"count_groups_{event}" for event in ("delete", "insert", "truncate", "update")]


@pytest.mark.parametrize("link", _links(), ids=lambda link: link.__tablename__)
async def test_a_new_link_takes_the_name_of_its_owner(link: type[Link], db: Connection) -> None:
    owner = inspect(link).relationships[link.__owner__].mapper.local_table.name
    has = "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = $1::text::regclass AND tgname = $2"
    assert await db.fetchval(has, link.__tablename__, "take_name")
    assert f"'{link.__tablename__}', '{link.__owner__}_id'" in await db.fetchval(has, owner, "rename_in_links")


@pytest.fixture
async def shipped(library_database: str) -> AsyncIterator[Connection]:
    """Look into the database of the shipped encyclopedia; what a test writes there is taken back."""
    async with connection_to(library_database) as connection:
        transaction = connection.transaction()
        await transaction.start()
        yield connection
        await transaction.rollback()


async def test_the_shipped_encyclopedia_is_counted_and_named_right(shipped: Connection) -> None:
    assert await shipped.fetchval("SELECT count(*) FROM article_aircraft") > 100
    assert await differences(shipped) == {}


async def test_numbers_and_names_follow_every_change(
    make: Make, editor: httpx.AsyncClient, administrator: httpx.AsyncClient, db: Connection, number: int
) -> None:
    async def change(method: str, path: str, **content: Any) -> None:
        answer = await administrator.request(method, path, headers=await if_match(administrator, path.partition("/publish")[0]), **content)
        assert answer.is_success, answer.text

    bureau, other = await make("design-bureaus"), await make("design-bureaus")
    tags = [(await make("tags"))["slug"] for _ in range(3)]
    aircraft = await make("aircraft", design_bureau=bureau["slug"], first_flight="1969-03-02", category="airplane")
    article = await make("articles", tags=tags[:2], aircraft=[aircraft["slug"]])
    assert await differences(db) == {}
    path, about = f"/api/v1/articles/{article['id']}", f"/api/v1/aircraft/{aircraft['id']}"
    answer = await administrator.post(f"{path}/publish", headers=await if_match(administrator, path))
    assert answer.is_success, answer.text
    assert await differences(db) == {}
    await change("PATCH", path, json={"tags": tags[1:], "title": f"Another title {number}"})
    await change("PATCH", about, json={"name": f"Another name {number}", "design_bureau": other["slug"], "first_flight": None})
    await change("PATCH", about, json={"category": "glider", "engine_type": None})
    assert await differences(db) == {}
    answer = await administrator.post(f"{path}/archive", headers=await if_match(administrator, path))
    assert answer.is_success, answer.text
    assert await differences(db) == {}
    await change("DELETE", path)
    await change("DELETE", about)
    assert await differences(db) == {}


async def test_numbers_follow_what_is_written_without_the_application(shipped: Connection) -> None:
    """A published article goes with its links, links change their target, and several rows come at once."""
    first, second = (
        row["tag_id"] for row in await shipped.fetch("SELECT tag_id FROM article_tag GROUP BY 1 ORDER BY count(*) DESC LIMIT 2")
    )
    await shipped.execute("DELETE FROM article WHERE id IN (SELECT article_id FROM article_tag WHERE tag_id = $1 LIMIT 3)", first)
    assert await differences(shipped) == {}
    await shipped.execute("DELETE FROM article_tag WHERE tag_id = $1", second)
    await shipped.execute("UPDATE article_tag SET tag_id = $2 WHERE tag_id = $1", first, second)
    await shipped.execute("UPDATE article SET status = CASE WHEN slug < 'm' THEN 'archived' ELSE 'published' END")
    await shipped.execute("UPDATE aircraft SET category = 'glider', name = name || '!' WHERE category = 'airplane'")
    await shipped.execute("SELECT compact_entity_counts()")
    assert await differences(shipped) == {}
    await shipped.execute("TRUNCATE article_tag")
    assert await differences(shipped) == {}


async def test_what_no_trigger_hears_of_is_noticed(shipped: Connection) -> None:
    """The comparison itself can fail."""
    await shipped.execute("ALTER TABLE article_tag DISABLE TRIGGER USER")
    await shipped.execute("DELETE FROM article_tag WHERE position = 0")
    await shipped.execute("UPDATE article_designer SET sort_name = ''")
    assert sorted(await differences(shipped)) == ["article_designer", "article_tag.tag_id"]


async def test_the_sum_of_what_was_added_takes_its_place(shipped: Connection) -> None:
    for value, totals in (("some", (1, 1, 2, -1)), ("none", (1, 1, -2, 0))):
        for total in totals:
            await shipped.execute("INSERT INTO group_count (source, value, total, public) VALUES ('test.a', $1, $2, 0)", value, total)
    await shipped.execute("SELECT compact_entity_counts()")
    rows = await shipped.fetch("SELECT value, total FROM group_count WHERE source = 'test.a'")
    assert [tuple(row) for row in rows] == [("some", 3)]
