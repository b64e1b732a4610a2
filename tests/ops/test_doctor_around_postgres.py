"""The doctor on what stands in front of PostgreSQL, and on the way past it."""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from sqlalchemy import URL

from fastapi_application.core.config import DatabaseSettings, get_settings
from fastapi_application.doctor.postgres import check_postgres
from fastapi_application.doctor.scale_out import COMMANDS, POOLER, check_commands
from tests.support.commands import free_port
from tests.support.seeded import connection_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi_application.doctor.findings import Finding

_KEY = b"K" + struct.pack(">I", 12)
"""The beginning of the message that tells a client the process of its connection."""
TIMEOUTS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
ROLE = "behind_a_pooler"


@asynccontextmanager
async def pooler() -> AsyncIterator[int]:
    """Stand in front of PostgreSQL as a pooler does: tell each client another process than the one that answers; yield the port."""
    server = get_settings().db

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_unix_connection(f"{server.host}/.s.PGSQL.{server.port}")
        with suppress(OSError):
            await asyncio.gather(_pass_on(reader, ours, told=False), _pass_on(theirs, writer, told=True))

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, told: bool) -> None:
    try:
        while chunk := await reader.read(65536):
            head, key, tail = chunk.partition(_KEY) if told else (chunk, b"", b"")
            if key:
                told, tail = False, b"\0\0\0\1" + tail[4:]
            writer.write(head + key + tail)
            await writer.drain()
    finally:
        writer.close()


def through(port: int, **changes: object) -> DatabaseSettings:
    """Return settings that lead through a port."""
    return get_settings().db.model_copy(update={"host": "127.0.0.1", "port": port, **changes})


async def findings(settings: DatabaseSettings) -> list[Finding]:
    """Return what the doctor finds, without what is about other things."""
    found = await check_postgres(get_settings().model_copy(update={"db": settings}))
    return [finding for finding in found if finding.name == POOLER]


@pytest.fixture
async def role(database: str) -> AsyncIterator[str]:
    """Make a role that has time-outs of its own."""
    async with connection_to("postgres") as connection:
        await connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}' IN ROLE pg_read_all_data")
        for name in TIMEOUTS:
            await connection.execute(f"ALTER ROLE {ROLE} SET {name} = '2s'")
        yield ROLE
        await connection.execute(f"DROP ROLE {ROLE}")


async def test_a_pooler_that_nobody_has_told_of(database: str) -> None:
    async with pooler() as port:
        (finding,) = await findings(through(port, pgbouncer=False))
    assert finding.status == "warn"
    assert "DB__PGBOUNCER=true" in finding.advice


async def test_a_pooler_takes_time_outs_away(database: str) -> None:
    async with pooler() as port:
        (finding,) = await findings(through(port, pgbouncer=True))
    assert finding.status == "warn"
    assert all(name in finding.detail for name in TIMEOUTS)


async def test_a_role_with_time_outs_behind_a_pooler(role: str) -> None:
    async with pooler() as port:
        (finding,) = await findings(through(port, pgbouncer=True, user=role, password=SecretStr(role)))
    assert finding.status == "pass"


async def test_no_pooler(database: str) -> None:
    assert await findings(get_settings().db) == []
    (finding,) = await findings(get_settings().db.model_copy(update={"pgbouncer": True}))
    assert finding.status == "warn"


async def commands(**parts: str | int) -> Finding:
    """Return the finding on a way for commands."""
    server = get_settings().db
    given = {"username": server.user, "password": server.password.get_secret_value(), "database": server.name, **parts}
    query = {} if "host" in parts else {"host": str(server.host), "port": str(server.port)}
    url = URL.create("postgresql", query=query, **given).render_as_string(hide_password=False)  # type: ignore[arg-type]
    settings = server.model_copy(update={"host": "127.0.0.1", "port": 1, "pgbouncer": True, "migration_url": SecretStr(url)})
    (finding,) = await check_commands(get_settings().model_copy(update={"db": settings}))
    assert finding.name == COMMANDS
    return finding


async def test_the_way_of_commands(database: str, role: str) -> None:
    assert await check_commands(get_settings()) == []
    assert (await commands()).status == "pass"
    assert "may not create" in (await commands(username=role, password=role)).detail
    assert "not reached" in (await commands(host="127.0.0.1", port=free_port())).detail
    async with pooler() as port:
        assert "through a pooler" in (await commands(host="127.0.0.1", port=port)).detail
