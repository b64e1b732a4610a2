"""A command's way to the database: what keeps it from there is one sentence, and statements may take their time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from socket import gaierror
from typing import TYPE_CHECKING

import asyncpg

from fastapi_application.cli.errors import CommandError
from fastapi_application.core.db import CONNECT_TIMEOUT_S, create_engine, create_session_factory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

    from fastapi_application.core.config import Settings


@asynccontextmanager
async def database_session(settings: Settings) -> AsyncIterator[AsyncSession]:
    """Yield a session on a server that answers.

    Raises:
        CommandError: it does not, or does not let us in.

    """
    engine = create_engine(settings.db.for_commands(), bounded=False)
    try:
        await _reach(engine, settings)
        async with create_session_factory(engine)() as session:
            yield session
    finally:
        await engine.dispose()


def refuse_pooler(settings: Settings) -> None:
    """Refuse PgBouncer to what needs one connection to the server from its beginning to its end: a lock, a snapshot, a restore.

    Raises:
        CommandError: the settings lead through it.

    """
    if settings.db.for_commands().pgbouncer:
        raise CommandError(
            "This does not pass through PgBouncer: set DB__MIGRATION_URL to PostgreSQL itself, or DB__PGBOUNCER=false and DB__HOST to it."
        )


async def _reach(engine: AsyncEngine, settings: Settings) -> None:
    try:
        async with engine.connect():
            pass
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        sentence = _sentence(error, engine.url)
        if settings.db.migration_url is not None:
            sentence += " (DB__MIGRATION_URL leads there.)"
        raise CommandError(sentence) from None


def _sentence(error: Exception, url: URL) -> str:
    server = f"PostgreSQL at {_place(url)}"
    sentences: dict[type[Exception] | tuple[type[Exception], ...], str] = {
        (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError): (
            f"{server} does not let {url.username} in ({error}): check DB__USER and DB__PASSWORD."
        ),
        asyncpg.InvalidCatalogNameError: f'{server} has no database "{url.database}": create it, or check DB__NAME.',
        TimeoutError: f"{server} does not answer within {CONNECT_TIMEOUT_S:g} s: check DB__HOST and DB__PORT.",
        gaierror: f"There is no host {url.host}: check DB__HOST.",
        FileNotFoundError: f"There is no {server}: check DB__HOST, and whether the server runs.",
        OSError: f"Nothing answers as {server}: check DB__HOST and DB__PORT, and whether the server runs.",
    }
    return next((text for kinds, text in sentences.items() if isinstance(error, kinds)), f"{server} cannot be used: {error}")


def _place(url: URL) -> str:
    if url.host is not None:
        return f"{url.host}:{url.port or 5432}"
    return str(url.query.get("host", "the default socket"))
