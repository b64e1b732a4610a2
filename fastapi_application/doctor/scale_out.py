"""What stands around PostgreSQL: a pooler in front of it, the way past the pooler, a replica beside it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from sqlalchemy import text

from fastapi_application.core.db import DATABASE_ERRORS, create_engine
from fastapi_application.core.replica import MAX_LAG_S
from fastapi_application.doctor.findings import Finding, failed, passed, warned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.ext.asyncio import AsyncConnection

    from fastapi_application.core.config import DatabaseSettings, Settings

POOLER, COMMANDS, REPLICA = "pooler", "DB__MIGRATION_URL", "replica"
LONGEST_WAIT_S = 5.0
_POLL_S = 0.05
_PID = text("SELECT pg_backend_pid()")
_TIMEOUTS = text("""
    SELECT name FROM pg_settings
    WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') AND setting = '0' ORDER BY name
""")
_MAY_CREATE = text("SELECT has_schema_privilege('public', 'CREATE')")
_SYSTEM = "(SELECT system_identifier FROM pg_control_system())"
_WRITTEN = text(f"SELECT pg_current_wal_insert_lsn()::text, {_SYSTEM}")
_STATE = text(f"SELECT pg_is_in_recovery(), {_SYSTEM}")
_MISSING = text("SELECT pg_wal_lsn_diff(CAST(CAST(:written AS text) AS pg_lsn), pg_last_wal_replay_lsn())::bigint")


def reason_of(error: Exception) -> str:
    """Return the first line of what a database, its driver or the system says."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


async def is_pooled(connection: AsyncConnection) -> bool:
    """Whether a pooler is in between: the process that the connection was told of at its start is not the one that answers."""
    raw = await connection.get_raw_connection()
    told = raw.driver_connection.get_server_pid()  # type: ignore[union-attr] # asyncpg's
    return bool(told != await connection.scalar(_PID))


async def look_for_pooler(connection: AsyncConnection, settings: DatabaseSettings) -> list[Finding]:
    """Compare DB__PGBOUNCER with what is at the other end, and see what a pooler takes away."""
    pooled = await is_pooled(connection)
    if not settings.pgbouncer:
        detail = "a pooler is in front of PostgreSQL, and DB__PGBOUNCER is false"
        advice = "set DB__PGBOUNCER=true: in transaction mode no connection knows the statements of another"
        return [warned(POOLER, detail, advice)] if pooled else []
    if not pooled:
        detail = "DB__PGBOUNCER is true, and nothing is in front of PostgreSQL"
        return [warned(POOLER, detail, "set it to false: without need, statements are parsed again and again, and have no time-outs")]
    return list(_of_pooler(list(await connection.scalars(_TIMEOUTS))))


def _of_pooler(missing: list[str]) -> Iterator[Finding]:
    if missing:
        detail = f"it takes the application's time-outs away, and the role has none of its own: {', '.join(missing)}"
        yield warned(POOLER, detail, "ALTER ROLE … SET them as docs/deployment.md says")
    else:
        yield passed(POOLER, "in front of PostgreSQL, and the role has time-outs")


async def check_commands(settings: Settings) -> list[Finding]:
    """Go the way of migrations and backups, if that is another one."""
    if settings.db.migration_url is None:
        return []
    engine = create_engine(settings.db.for_commands())
    try:
        async with engine.connect() as connection:
            if await is_pooled(connection):
                return [failed(COMMANDS, "leads through a pooler", "name PostgreSQL itself: locks and snapshots need one connection")]
            if not await connection.scalar(_MAY_CREATE):
                return [failed(COMMANDS, "its role may not create tables in the schema public", "make it the owner of the database")]
    except DATABASE_ERRORS as error:
        return [failed(COMMANDS, f"not reached: {reason_of(error)}", "check it; until then neither migrations nor backups work")]
    finally:
        await engine.dispose()
    return [passed(COMMANDS, "leads to PostgreSQL itself, as a role that may migrate")]


async def check_replica(settings: Settings) -> list[Finding]:
    """See whether it is one of this primary, and how soon it shows what is written now."""
    replica_settings = settings.db.of_replica()
    if replica_settings is None:
        return []
    primary, replica = create_engine(settings.db), create_engine(replica_settings, isolation_level="AUTOCOMMIT")
    try:
        async with primary.connect() as connection:
            written, system = (await connection.execute(_WRITTEN)).one()
        async with replica.connect() as connection:
            is_replica, its_system = (await connection.execute(_STATE)).one()
            if not is_replica or its_system != system:
                return [failed(REPLICA, "is not a streaming replica of this primary", "check DB__REPLICA_URL; it is not used")]
            return [await _lag(connection, written)]
    except DATABASE_ERRORS as error:
        return [warned(REPLICA, f"not reached: {reason_of(error)}", "check DB__REPLICA_URL; until then the primary is read")]
    finally:
        await primary.dispose()
        await replica.dispose()


async def _lag(connection: AsyncConnection, written: str) -> Finding:
    began = time.monotonic()
    while (missing := int(await connection.scalar(_MISSING, {"written": written}) or 0)) > 0:
        if time.monotonic() - began > LONGEST_WAIT_S:
            detail = f"{missing} bytes of the log behind what was written {LONGEST_WAIT_S:g} s ago"
            return warned(REPLICA, detail, "look whether it receives and replays; until then the primary is read")
        await asyncio.sleep(_POLL_S)
    lag = time.monotonic() - began
    detail = f"shows within {lag:.2f} s what is written"
    if lag > MAX_LAG_S:
        return warned(REPLICA, detail, f"look at its disk and network: beyond {MAX_LAG_S:g} s the primary is read")
    return passed(REPLICA, detail)
