"""Loading: everything once, in one transaction; again changes nothing, and never what an editor has made."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.accounts.service import AccountService
from fastapi_application.core.actor import Actor, Role
from fastapi_application.core.errors import ValidationFailedError
from fastapi_application.crud.action import run_crud_action
from fastapi_application.encyclopedia.aircraft.service import AircraftService
from fastapi_application.encyclopedia.countries.service import CountryService
from fastapi_application.encyclopedia.designers.service import DesignerService
from fastapi_application.encyclopedia.facts.service import FactService
from fastapi_application.encyclopedia.tags.service import TagService
from fastapi_application.starter import loader
from fastapi_application.starter.documents import read_starter
from fastapi_application.starter.loader import Report, StarterLoader
from tests.support.seeded import connection_to, current_database, seed, session_on
from tests.support.servers import create_database, migrate

if TYPE_CHECKING:
    from fastapi_application.crud.repository import Document
    from fastapi_application.crud.service import EntityService
    from fastapi_application.starter.documents import Starter

COUNTS = {
    "country": 280,
    "designer": 306,
    "engine": 123,
    "icao_type": 10_370,
    "design_bureau": 21,
    "manufacturer": 166,
    "aircraft": 291,
}
TABLES = [*COUNTS, "article", "tag", "tag_category", "fact"]


async def rows(database: str, query: str, *arguments: object) -> list[tuple[Any, ...]]:
    async with connection_to(database) as connection:
        return [tuple(row) for row in await connection.fetch(query, *arguments)]


async def state(database: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return every entry's version and time of change."""
    return {table: await rows(database, f"SELECT id, slug, version, updated_at FROM {table} ORDER BY id") for table in TABLES}  # noqa: S608


async def an_editor(database: str) -> Actor:
    async with session_on(database) as session:
        email = f"{uuid.uuid4().hex}@example.org"
        identifier = await run_crud_action(session, AccountService(session).create, email, "x", Role.EDITOR, is_verified=True)
    return Actor(identifier, Role.EDITOR)


async def change(database: str, service: type[EntityService[Any, Any]], ref: str, actor: Actor, **fields: Any) -> Document:
    """Change an entry as the API does."""
    async with session_on(database) as session:
        bound = service(session)
        return await run_crud_action(session, bound.change, ref, None, lambda current: bound.validate({**current, **fields}), actor)


async def create(database: str, service: type[EntityService[Any, Any]], actor: Actor, **fields: Any) -> Document:
    async with session_on(database) as session:
        bound = service(session)
        return await run_crud_action(session, bound.create, bound.validate(fields), actor)


async def delete(database: str, service: type[EntityService[Any, Any]], slug: str, actor: Actor) -> None:
    async with session_on(database) as session:
        bound = service(session)
        entity = await run_crud_action(session, bound.read, slug, actor)
        await run_crud_action(session, bound.delete, slug, frozenset([f"{entity.id.hex[:8]}.{entity.version}"]), actor)


async def load_once(database: str) -> Report | None:
    async with session_on(database) as session:
        return await run_crud_action(session, StarterLoader(session).load_once)


async def test_everything_is_there_and_articles_are_published(seeded: str) -> None:
    assert {table: await rows(seeded, f"SELECT count(*) FROM {table}") for table in COUNTS} == {  # noqa: S608
        table: [(count,)] for table, count in COUNTS.items()
    }
    assert await rows(seeded, "SELECT DISTINCT status, published_at IS NULL FROM article") == [("published", False)]


async def test_a_second_load_changes_nothing(seeded: str, starter: Starter) -> None:
    before = await state(seeded)
    report = await seed(seeded)
    assert await state(seeded) == before
    assert (report.created, report.updated, report.kept) == ({}, {}, [])
    assert report.unresolved == starter.unresolved
    assert len(report.unresolved) == 4
    assert report.text().startswith("Created nothing; updated nothing.\nNot resolved: aircraft ")


async def test_what_an_editor_has_changed_is_kept_and_named(seeded: str) -> None:
    editor = await an_editor(seeded)
    edited = await change(seeded, AircraftService, "ilyushin-il-2", editor, introduced="193X", crew=3)
    report = await seed(seeded)
    assert await rows(seeded, "SELECT introduced_edtf, crew, version FROM aircraft WHERE slug = 'ilyushin-il-2'") == [
        ("193X", 3, edited.version)
    ]
    assert (report.created, report.updated) == ({}, {})
    assert report.kept == ["aircraft ilyushin-il-2: changed by an editor"]


async def test_what_nobody_has_edited_follows_the_data(seeded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = read_starter()
    (concorde,) = (document for document in newer.kinds["aircraft"] if document["slug"] == "concorde")
    concorde["crew"] = 4
    monkeypatch.setattr(loader, "read_starter", lambda: newer)
    report = await seed(seeded)
    assert await rows(seeded, "SELECT crew, version FROM aircraft WHERE slug = 'concorde'") == [(4, 2)]
    assert (report.created, report.updated, report.kept) == ({}, {"aircraft": 1}, [])


async def test_a_renamed_entry_is_kept_and_those_that_name_it_do_not_change(seeded: str) -> None:
    editor = await an_editor(seeded)
    await change(seeded, DesignerService, "lucien-servanty", editor, slug="l-servanty")
    before = await state(seeded)
    report = await seed(seeded)
    assert await state(seeded) == before
    assert (report.created, report.updated) == ({}, {})
    assert report.kept == ["designers lucien-servanty: changed by an editor"]


async def test_what_an_editor_has_taken_away_comes_back_when_it_is_asked_for(seeded: str) -> None:
    editor = await an_editor(seeded)
    ((slug,),) = await rows(seeded, "SELECT slug FROM fact ORDER BY slug LIMIT 1")
    await delete(seeded, FactService, slug, editor)
    assert await load_once(seeded) is None
    assert await rows(seeded, "SELECT 1 FROM fact WHERE slug = $1", slug) == []
    report = await seed(seeded)
    assert report.created == {"facts": 1}
    # Its history goes on behind its creation and its deletion.
    assert await rows(seeded, "SELECT version FROM fact WHERE slug = $1", slug) == [(3,)]


async def test_a_slug_that_an_editor_has_taken_is_left_to_the_editor(seeded: str) -> None:
    editor = await an_editor(seeded)
    ((slug,),) = await rows(seeded, "SELECT slug FROM tag WHERE id NOT IN (SELECT tag_id FROM article_tag) ORDER BY slug LIMIT 1")
    await delete(seeded, TagService, slug, editor)
    mine = await create(seeded, TagService, editor, name="Mine", slug=slug)
    report = await seed(seeded)
    assert report.kept == [f"tags {slug}: the slug is another entry's"]
    assert await rows(seeded, "SELECT id, version FROM tag WHERE slug = $1", slug) == [(mine.id, 1)]


async def test_a_code_that_an_editor_has_taken_does_not_stop_the_load(seeded: str) -> None:
    editor = await an_editor(seeded)
    await delete(seeded, CountryService, "skin", editor)
    mine = await create(seeded, CountryService, editor, name="Mine", code="SKIN", slug="my-sikkim")
    report = await seed(seeded)
    assert report.created == {}
    assert [kept.partition(":")[0] for kept in report.kept] == ["countries skin"]
    assert await rows(seeded, "SELECT id FROM country WHERE code = 'SKIN'") == [(mine.id,)]
    assert await rows(seeded, "SELECT 1 FROM entity_slug WHERE kind = 'countries' AND slug = 'skin'") == []


async def test_a_failing_load_leaves_nothing(servers: None, worker_id: str, starter: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    database = f"failing_{worker_id}"
    await asyncio.to_thread(_create_migrated, database)
    broken = read_starter()
    broken.kinds["aircraft"][0] = {**broken.kinds["aircraft"][0], "countries": ["no-such-country"]}
    monkeypatch.setattr(loader, "read_starter", lambda: broken)
    with pytest.raises(ValidationFailedError):
        await seed(database)
    for table in [*TABLES, "entity_slug"]:
        assert await rows(database, f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608
    async with session_on(database) as session:
        assert await run_crud_action(session, StarterLoader(session).is_loaded) is False


def _create_migrated(database: str) -> None:
    create_database(database)
    with current_database(database):
        migrate()


async def test_a_load_waits_for_the_one_that_is_under_way(seeded: str) -> None:
    async with connection_to(seeded) as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", loader.LOCK_ID)
        waiting = asyncio.create_task(load_once(seeded))
        blocked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = $1"
        async with asyncio.timeout(30):
            while not await connection.fetchval(blocked, loader.LOCK_ID):  # noqa: ASYNC110 - another process has no event for us
                await asyncio.sleep(0.02)
        assert not waiting.done()
    assert await waiting is None
