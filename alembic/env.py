"""Alembic's environment: the registry's metadata, the application's settings, one migration at a time."""

from __future__ import annotations

import asyncio
import time

from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

import fastapi_application.encyclopedia
import fastapi_application.jobs.models  # noqa: F401 - these two load every model
from alembic import context
from fastapi_application.core.config import get_settings
from fastapi_application.core.db import NO_TIMEOUTS, Base

# One migration at a time, however many workers start at once.
LOCK_ID = 7_355_608
LOCK_TIMEOUT = "5s"
LOCK_POLL_S = 0.1
CONNECT_TIMEOUT_S = 10


def _take_the_lock(connection: Connection) -> None:
    """Wait for another migration as long as it takes.

    A statement that waits would hold a snapshot, and the other's CREATE INDEX CONCURRENTLY waits for all of those.
    """
    while not connection.scalar(text(f"SELECT pg_try_advisory_lock({LOCK_ID})")):
        connection.commit()
        time.sleep(LOCK_POLL_S)


def migrate(connection: Connection) -> None:
    """Run the migrations on a connection."""
    context.configure(connection=connection, target_metadata=Base.metadata, compare_server_default=True, transaction_per_migration=True)
    _take_the_lock(connection)
    # From here on, no lock may be waited for that keeps the service waiting.
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()
    try:
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.execute(text(f"SELECT pg_advisory_unlock({LOCK_ID})"))
        connection.execute(text("RESET lock_timeout"))
        connection.commit()


async def migrate_online() -> None:
    """Connect and migrate. Statements may take their time."""
    engine = create_async_engine(
        get_settings().db.for_commands().sqlalchemy_url(),
        poolclass=pool.NullPool,
        connect_args={"timeout": CONNECT_TIMEOUT_S, "server_settings": {"application_name": "frankenjet-migrations", **NO_TIMEOUTS}},
    )
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


def migrate_offline() -> None:
    """Print the SQL."""
    context.configure(url="postgresql+asyncpg://", target_metadata=Base.metadata, literal_binds=True, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    migrate_offline()
elif (given := context.config.attributes.get("connection")) is not None:
    migrate(given)
else:
    asyncio.run(migrate_online())
