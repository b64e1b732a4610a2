"""PostgreSQL: reachable, fit, allowed, at the right schema, and without what an interrupted operation has left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from fastapi_application.core.db import DATABASE_ERRORS, create_engine
from fastapi_application.core.schema_version import SchemaVersions
from fastapi_application.doctor.findings import Finding, failed, passed, warned
from fastapi_application.doctor.scale_out import look_for_pooler, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from fastapi_application.core.config import Settings

NAME = "postgresql"
OLDEST = 17
EXTENSION = "pg_trgm"
SKEW_S = 2.0
_SPARE_CONNECTIONS = 5
_FACTS = text("""
    SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int / 10000 AS major,
        pg_is_in_recovery() AS is_standby, current_setting('server_encoding') AS encoding, d.datctype AS letters,
        d.datlocprovider::text AS provider, current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS connections,
        has_schema_privilege('public', 'CREATE') AS may_create, r.rolsuper AS is_superuser,
        EXISTS (SELECT FROM pg_available_extensions WHERE name = :extension) AS has_extension,
        extract(epoch FROM clock_timestamp())::float8 AS now
    FROM pg_database d, pg_roles r WHERE d.datname = current_database() AND r.rolname = current_user
""")
_INVALID = text("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid ORDER BY 1")
_JOBS = text("""
    SELECT count(*) FILTER (WHERE given_up_at IS NOT NULL) AS given_up,
        count(*) FILTER (WHERE done_at IS NULL AND given_up_at IS NULL AND run_at < now() - interval '5 minutes') AS late
    FROM public.outbox_job
""")


async def check_postgres(settings: Settings) -> list[Finding]:
    """Connect as the application does, and look around."""
    engine = create_engine(settings.db)
    try:
        async with engine.connect() as connection:
            return [finding async for finding in _look(connection, settings)]
    except DATABASE_ERRORS as error:
        reason = reason_of(error)
        is_refused = "startup parameter" in reason
        advice = "a pooler is in front of it: set DB__PGBOUNCER=true" if is_refused else "check DB__*, and whether the server runs"
        return [failed(NAME, f"not reached: {reason}", advice)]
    finally:
        await engine.dispose()


async def _look(connection: AsyncConnection, settings: Settings) -> Any:
    before = time.time()
    facts = (await connection.execute(_FACTS, {"extension": EXTENSION})).mappings().one()
    local = (before + time.time()) / 2
    for finding in (*_server(facts), *_rights(facts, settings), clock(f"{NAME} clock", float(facts["now"]), local)):
        yield finding
    for finding in await look_for_pooler(connection, settings.db):
        yield finding
    yield await _schema(connection)
    invalid = list(await connection.scalars(_INVALID))
    if invalid:
        yield failed(
            f"{NAME} indexes",
            f"not valid: {', '.join(invalid)}",
            "REINDEX INDEX CONCURRENTLY each of them; they were left by an interrupted build",
        )
    if await connection.scalar(text("SELECT to_regclass('public.outbox_job')")) is not None:
        for finding in _jobs((await connection.execute(_JOBS)).mappings().one()):
            yield finding


def _server(facts: RowMapping) -> Iterator[Finding]:
    if facts["major"] < OLDEST:
        yield failed(NAME, f"version {facts['version']}", f"upgrade to {OLDEST} or newer")
    else:
        yield passed(NAME, f"version {facts['version']}")
    if facts["is_standby"]:
        yield failed(NAME, "a standby, which takes no writes", "point DB__* at the primary")
    if facts["encoding"] != "UTF8":
        yield failed(NAME, f"encoding {facts['encoding']}", "make the database again with ENCODING UTF8")
    if facts["letters"] in {"C", "POSIX"}:
        yield warned(NAME, "under LC_CTYPE C searching sees letters of ASCII alone", "make the database again with LC_CTYPE 'C.UTF-8'")
    for setting in ("fsync", "full_page_writes"):
        if facts[setting] == "off":
            yield failed(NAME, f"{setting} is off: a crash of the machine may cost the database", f"set {setting} = on")


def _rights(facts: RowMapping, settings: Settings) -> Iterator[Finding]:
    if not facts["may_create"] and settings.db.migration_url is None:
        yield failed(f"{NAME} role", "may not create tables in the schema public", "make it the owner of the database")
    if facts["is_superuser"] and settings.app.mode == "production":
        yield warned(f"{NAME} role", "is a superuser", "use a role that owns the database and has no other right")
    if not facts["has_extension"]:
        yield failed(NAME, f"has no extension {EXTENSION}", "install the contrib modules (on Debian and Ubuntu they come with the server)")
    needed = settings.server.workers * settings.db.pool_size + _SPARE_CONNECTIONS
    if facts["connections"] < needed and not settings.db.pgbouncer:
        yield warned(
            f"{NAME} connections",
            f"{facts['connections']} allowed, and this process alone may want {needed}",
            "raise max_connections, lower DB__POOL_SIZE, or put PgBouncer in between",
        )


def clock(name: str, theirs: float, ours: float) -> Finding:
    """Compare two clocks, in seconds."""
    skew = theirs - ours
    if abs(skew) > SKEW_S:
        return failed(
            name, f"{skew:+.1f} s away from this machine's", "let both synchronise by NTP: tokens, schedules and limits compare their times"
        )
    return passed(name, f"within {SKEW_S:g} s of this machine's")


async def _schema(connection: AsyncConnection) -> Finding:
    name, versions = "schema", SchemaVersions.load()
    if await connection.scalar(text("SELECT to_regclass('public.alembic_version')")) is None:
        return failed(name, "the database was never migrated", "run `main.py migrate`")
    current = set(await connection.scalars(text("SELECT version_num FROM public.alembic_version")))
    if current == versions.heads:
        return passed(name, f"at {', '.join(sorted(current))}")
    if versions.serves(current):
        return warned(name, f"at {', '.join(sorted(current))}, which is newer than this version", "install the version that made it")
    return failed(
        name, f"at {', '.join(sorted(current)) or 'nothing'}, and not at {', '.join(sorted(versions.heads))}", "run `main.py migrate`"
    )


def _jobs(counts: RowMapping) -> Iterator[Finding]:
    if counts["late"]:
        yield warned(
            "jobs", f"{counts['late']} wait for more than 5 minutes", "look whether a worker runs (`main.py worker`) and what its log says"
        )
    if counts["given_up"]:
        yield warned(
            "jobs", f"{counts['given_up']} were given up", "see last_error in the table outbox_job; docs/runbook.md has the statements"
        )
    if not (counts["late"] or counts["given_up"]):
        yield passed("jobs", "none is late or given up")
