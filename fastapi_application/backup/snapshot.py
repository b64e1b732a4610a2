"""One moment of the database, seen by this process and by pg_dump."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from fastapi_application.backup.digests import table_names

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

_VERSIONS_PER_MAJOR = 10_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The name by which others see what the session's transaction sees, as long as that lasts."""

    name: str
    server_major: int


async def take_snapshot(session: AsyncSession) -> Snapshot:
    """Begin a transaction that changes nothing and sees one moment."""
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    await session.execute(text("SET TRANSACTION READ ONLY"))
    await session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    return Snapshot(str(await session.scalar(text("SELECT pg_export_snapshot()"))), await server_major(session))


async def server_major(session: AsyncSession) -> int:
    """Return the major version of the server."""
    return int(str(await session.scalar(text("SHOW server_version_num")))) // _VERSIONS_PER_MAJOR


async def schema_revisions(session: AsyncSession) -> list[str]:
    """Return the migrations that the database is at; none if it was never migrated."""
    if "public.alembic_version" not in await table_names(session):
        return []
    return sorted(await session.scalars(text("SELECT version_num FROM public.alembic_version")))
