"""The async engine and the declarative base."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import orjson
from sqlalchemy import MetaData, event
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

if TYPE_CHECKING:
    from fastapi_application.core.config import DatabaseSettings

# What a failing database raises. While it connects, SQLAlchemy passes on the driver's own errors ("the database system is
# starting up", a wrong password) and those of the operating system; TimeoutError is an OSError.
DATABASE_ERRORS = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)

AUTOCOMMIT_READS = "autocommit_reads"
"""In a session's info where a read needs no transaction of its own."""
CONNECT_TIMEOUT_S = 2.0
COMMAND_TIMEOUT_S = 2.5
POOL_TIMEOUT_S = 2.0
# The server gives up before the client does, so that a slow statement ends as an error and not as a lost connection.
SERVER_TIMEOUTS = {
    "statement_timeout": "2000",
    "lock_timeout": "1500",
    "idle_in_transaction_session_timeout": "5000",
}
NO_TIMEOUTS = dict.fromkeys(SERVER_TIMEOUTS, "0")
# In transaction mode the next transaction is on another server connection, which knows no prepared statement of ours.
# Without a cache asyncpg gives statements no name, and parses them again in the message that runs them: this works outside
# of transactions too, and leaves nothing behind on a connection that others get next.
# PgBouncer refuses start-up parameters that it does not know; time-outs are the role's (docs/deployment.md).
_THROUGH_PGBOUNCER = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}


class Base(DeclarativeBase):
    """All tables. Named constraints: migrations stay reversible and errors can name the field."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        },
    )


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def create_engine(
    settings: DatabaseSettings,
    *,
    bounded: bool = True,
    pool_size: int | None = None,
    isolation_level: str | None = None,
    durable: bool = True,
) -> AsyncEngine:
    """Create the engine. Nothing connects yet.

    Args:
        settings: where the server is.
        bounded: short statement time-outs, as requests need them; False for migrations and bulk loads.
        pool_size: how many connections at most, if not as many as the settings say.
        isolation_level: of every connection, if not the server's; `AUTOCOMMIT` for single statements.
        durable: False where a change that a crash of the server takes back does no harm: its commits do not wait for the disk.

    """
    server_settings = {"application_name": "frankenjet", "timezone": "UTC"}
    connect_args: dict[str, Any] = {"timeout": CONNECT_TIMEOUT_S, "server_settings": server_settings}
    if bounded:
        connect_args["command_timeout"] = COMMAND_TIMEOUT_S
    if settings.pgbouncer:
        connect_args |= _THROUGH_PGBOUNCER
    else:
        # The default of random_page_cost is that of turning disks: with it the planner reads whole tables where an index is faster.
        server_settings |= {
            "jit": "off",
            "random_page_cost": "1.1",
            # To start a process takes longer than most statements; many requests at once use all cores anyway.
            "max_parallel_workers_per_gather": "0",
            # Those of the role, which are for what passes PgBouncer, are not for what takes its time.
            **(SERVER_TIMEOUTS if bounded else NO_TIMEOUTS),
            **({} if durable else {"synchronous_commit": "off"}),
        }
    engine = create_async_engine(
        settings.sqlalchemy_url(),
        pool_size=pool_size or settings.pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        connect_args=connect_args,
        # Values of statements never reach the log: some are addresses and hashes.
        hide_parameters=True,
        json_serializer=_dumps,
        json_deserializer=orjson.loads,
        **({"isolation_level": isolation_level} if isolation_level else {}),
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """Replace a connection that the server has closed: asyncpg knows of it, so nobody has to ask the server each time.

    Raises:
        DisconnectionError: the pool connects again.

    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def create_session_factory(engine: AsyncEngine, info: dict[str, Any] | None = None) -> async_sessionmaker[AsyncSession]:
    """Sessions whose objects stay readable after the commit; each gets a copy of `info`."""
    return async_sessionmaker(engine, expire_on_commit=False, info=info or {})
