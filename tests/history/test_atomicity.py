"""A write is one transaction with its revision, its answer under a key and its number: all of it or nothing."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.crud import action, audit
from fastapi_application.crud.history.revisions import Revisions
from fastapi_application.crud.repository import Repository
from tests.history.steps import etag
from tests.support.application import body
from tests.support.commands import ROOT, command_environment, settings_of_this_run
from tests.support.servers import run_directory

if TYPE_CHECKING:
    import asyncpg
    import httpx

    from tests.conftest import Make

    type Connection = asyncpg.Connection[asyncpg.Record]

STATE = """
    SELECT json_build_object(
        'tag', (SELECT row_to_json(tag) FROM tag WHERE id = $1),
        'slugs', (SELECT json_agg(slug ORDER BY slug) FROM entity_slug WHERE entity_id = $1),
        'revisions', (SELECT json_agg(number ORDER BY number) FROM revision WHERE entity_id = $1),
        'changes', (SELECT json_agg(seq ORDER BY seq) FROM change WHERE entity_id = $1))::text"""

# What fails, by when: each is called once in a write, the last one when everything but the COMMIT is done.
POINTS: dict[str, tuple[Any, str]] = {
    "before the revision": (Revisions, "keep"),
    "after the revision": (audit, "record"),
    "while the answer is rendered": (Repository, "document"),
    "before the number": (action, "write_epilogue"),
}


@pytest.mark.parametrize("point", POINTS)
async def test_a_failure_at_any_point_leaves_nothing(
    point: str, editor: httpx.AsyncClient, make: Make, db: Connection, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = await make("tags")
    path = f"/api/v1/tags/{tag['id']}"
    headers, before = await etag(editor, path), await db.fetchval(STATE, tag["id"])

    async def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError(point)

    keyed = {"Idempotency-Key": f"failing-{number}"}
    with monkeypatch.context() as broken:
        broken.setattr(*POINTS[point], fail)
        answers = [
            await editor.patch(path, json={"name": "Changed", "slug": f"changed-{number}"}, headers=headers),
            await editor.post("/api/v1/tags", json={"name": f"Half a tag {number}"}, headers=keyed),
        ]
        if point != "while the answer is rendered":  # a deletion has none
            answers.append(await editor.delete(path, headers=headers))
        assert {answer.status_code for answer in answers} == {500}
    assert await db.fetchval(STATE, tag["id"]) == before
    assert await db.fetchval("SELECT count(*) FROM tag WHERE name = $1", f"Half a tag {number}") == 0
    assert await db.fetchval("SELECT count(*) FROM idempotency_key WHERE key = $1", keyed["Idempotency-Key"]) == 0
    body(await editor.patch(path, json={"name": "Changed", "slug": f"changed-{number}"}, headers=headers))
    assert "idempotency-replayed" not in (await editor.post("/api/v1/tags", json={"name": f"Half a tag {number}"}, headers=keyed)).headers


# Holds up a writer: before it has written anything, when the row is written, when everything is.
BARRIERS = {
    "at the entity": "SELECT FROM tag WHERE id = '{id}' FOR UPDATE",
    "at the revision": "LOCK TABLE revision IN SHARE MODE",
    "at the commit": "SELECT pg_advisory_xact_lock(7355610)",
}
WRITER = """
import asyncio, sys
import fastapi_application.encyclopedia
from fastapi_application.core.actor import SYSTEM
from fastapi_application.core.config import get_settings
from fastapi_application.core.db import create_engine, create_session_factory
from fastapi_application.crud.action import run_crud_action
from fastapi_application.encyclopedia.tags.service import TagService

async def main(ref):
    engine = create_engine(get_settings().db, bounded=False)
    async with create_session_factory(engine)() as session:
        service = TagService(session)
        change = lambda current: service.validate({**current, "name": "Changed", "slug": current["slug"] + "-changed"})
        await run_crud_action(session, service.change, ref, None, change, SYSTEM)
    await engine.dispose()

asyncio.run(main(sys.argv[1]))
"""
WAITING = "SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
ALIVE = "SELECT pid FROM pg_stat_activity WHERE pid = {pid}"


async def until(db: Connection, query: str, *, found: bool) -> Any:
    """Wait until a query finds something, or nothing any more; return what it finds."""
    async with asyncio.timeout(60):
        while ((value := await db.fetchval(query)) is not None) != found:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.02)
    return value


@pytest.mark.parametrize("point", BARRIERS)
async def test_a_writer_that_is_killed_leaves_nothing(point: str, make: Make, db: Connection) -> None:
    tag = await make("tags")
    before = await db.fetchval(STATE, tag["id"])
    environment = command_environment(run_directory(), **settings_of_this_run())
    async with db.transaction():
        await db.execute(BARRIERS[point].format(id=tag["id"]))
        writer = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, tag["id"], cwd=ROOT, env=environment)
        try:
            backend = await until(db, WAITING, found=True)
        finally:
            writer.send_signal(signal.SIGKILL)
            await writer.wait()
    # Its backend goes on until it has the lock, and only then finds nobody to speak to.
    await until(db, ALIVE.format(pid=backend), found=False)
    assert await db.fetchval(STATE, tag["id"]) == before
