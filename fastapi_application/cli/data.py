"""`migrate`, `seed`, and what `local` does before it serves."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

from alembic.script import ScriptDirectory
from alembic.util import CommandError as AlembicError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from alembic import command
from fastapi_application.cli.database import database_session, refuse_pooler
from fastapi_application.cli.environment import environment
from fastapi_application.cli.errors import CommandError
from fastapi_application.core.schema_version import alembic_config
from fastapi_application.core.storage import open_storage
from fastapi_application.crud.action import run_crud_action
from fastapi_application.crud.cache_outbox import RELAYED_AFTER_S, forget_everything
from fastapi_application.starter.loader import Report, StarterLoader

if TYPE_CHECKING:
    import argparse

    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.core.config import Settings

UNDEFINED_TABLE = "42P01"


def migrate(arguments: argparse.Namespace) -> int:
    """Bring the schema to a revision."""
    with environment(redis=False) as settings:
        if _migrate(settings, arguments.revision):
            wait_for_workers()
    return 0


def seed(arguments: argparse.Namespace) -> int:
    """Load the starter encyclopedia."""
    with environment(redis=False) as settings:
        report = asyncio.run(_load(settings, once=arguments.once, progress=not arguments.no_progress))
        if report is not None and (report.created or report.updated):
            wait_for_workers()
    print("The starter encyclopedia was loaded before." if report is None else report.text())
    return 0


def prepare(settings: Settings) -> None:
    """Migrate, and load the starter encyclopedia if this database never had it."""
    _migrate(settings, "head")
    report = asyncio.run(_load(settings, once=True, progress=sys.stderr.isatty()))
    if report is not None:
        print(report.text(), flush=True)


async def _load(settings: Settings, *, once: bool, progress: bool) -> Report | None:
    async with database_session(settings) as session, open_storage(settings) as storage:
        loader = StarterLoader(session, storage, progress=progress)
        return await run_crud_action(session, loader.load_once if once else loader.load)


def wait_for_workers() -> None:
    """Give the workers that run the time in which they find that everything they keep is over."""
    time.sleep(RELAYED_AFTER_S)


def _migrate(settings: Settings, revision: str) -> bool:
    """Go forwards, or back if the revision lies behind the database; return whether that changed anything for readers."""
    refuse_pooler(settings)
    config = alembic_config()
    current = asyncio.run(_current_revision(settings))
    try:
        going_back = revision == "base" or (current is not None and _lies_behind(revision, current))
        (command.downgrade if going_back else command.upgrade)(config, revision)
    except AlembicError as error:
        raise CommandError(str(error)) from None
    if asyncio.run(_current_revision(settings)) == current:
        return False
    return asyncio.run(end_what_is_kept(settings)) and current is not None


async def end_what_is_kept(settings: Settings) -> bool:
    """Begin a new epoch: a migration may have changed rows; return False where there is no outbox (yet, or any more)."""

    async def forget(session: AsyncSession) -> bool:
        there = await session.scalar(text("SELECT to_regclass('cache_invalidation')")) is not None
        if there:
            await forget_everything(session)
        return there

    async with database_session(settings) as session:
        return await run_crud_action(session, forget, session)


def _lies_behind(revision: str, current: str) -> bool:
    scripts = ScriptDirectory.from_config(alembic_config())
    if revision == "head" or current not in {script.revision for script in scripts.walk_revisions()}:
        return False
    older = {script.revision for script in scripts.iterate_revisions(current, "base")}
    return revision in older - {current}


async def _current_revision(settings: Settings) -> str | None:
    async with database_session(settings) as session:
        try:
            revision: str | None = await session.scalar(text("SELECT version_num FROM alembic_version"))
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == UNDEFINED_TABLE:
                return None
            raise
        return revision
