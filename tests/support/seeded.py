"""Databases with the starter encyclopedia in them: loaded once in a test run, then copied."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import asyncpg

from fastapi_application.core.config import get_settings
from fastapi_application.core.db import create_engine, create_session_factory
from fastapi_application.crud.action import run_crud_action
from fastapi_application.starter.loader import Report, StarterLoader
from tests.support.servers import TEMPLATE, create_database, migrate, mutex, run, run_directory, use_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sqlalchemy.ext.asyncio import AsyncSession

_UNFINISHED = f"{TEMPLATE}_unfinished"

type Connection = asyncpg.Connection[asyncpg.Record]


@contextmanager
def current_database(name: str) -> Iterator[str]:
    """Point the settings at a database for a while."""
    before = os.environ["DB__NAME"]
    use_database(name)
    try:
        yield name
    finally:
        use_database(before)


@asynccontextmanager
async def connection_to(name: str) -> AsyncIterator[Connection]:
    """Yield a connection to a database of this run."""
    settings = get_settings().db
    connection = await asyncpg.connect(
        host=settings.host, port=settings.port, user=settings.user, password=settings.password.get_secret_value(), database=name
    )
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def session_on(name: str) -> AsyncIterator[AsyncSession]:
    """Yield a session on a database, as a command has it."""
    engine = create_engine(get_settings().db.model_copy(update={"name": name}), bounded=False)
    try:
        async with create_session_factory(engine)() as session:
            yield session
    finally:
        await engine.dispose()


async def seed(name: str) -> Report:
    """Load the starter encyclopedia into a database."""
    async with session_on(name) as session:
        return await run_crud_action(session, StarterLoader(session).load)


def create_seeded_database(name: str) -> None:
    """Create a database that holds the starter encyclopedia; the first one of a run loads it."""
    with mutex(run_directory()):
        if not run(_exists(TEMPLATE)):
            create_database(_UNFINISHED)
            with current_database(_UNFINISHED):
                migrate()
            run(seed(_UNFINISHED))
            run(_rename(_UNFINISHED, TEMPLATE))
        create_database(name, TEMPLATE)


async def _exists(name: str) -> bool:
    async with connection_to("postgres") as connection:
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name))


async def _rename(name: str, new: str) -> None:
    async with connection_to("postgres") as connection:
        await connection.execute(f'ALTER DATABASE "{name}" RENAME TO "{new}"')
