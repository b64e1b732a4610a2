"""The async engine and the declarative base."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import orjson
from sqlalchemy import MetaData
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

if TYPE_CHECKING:
    from fastapi_application.core.config import DatabaseSettings

# What a failing database raises. While it connects, SQLAlchemy passes on the driver's own errors ("the database system is
# starting up", a wrong password) and those of the operating system; TimeoutError is an OSError.
DATABASE_ERRORS = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)

CONNECT_TIMEOUT_S = 2.0
COMMAND_TIMEOUT_S = 2.5
POOL_TIMEOUT_S = 2.0
# The server gives up before the client does, so that a slow statement ends as an error and not as a lost connection.
SERVER_TIMEOUTS = {
    "statement_timeout": "2000",
    "lock_timeout": "1500",
    "idle_in_transaction_session_timeout": "5000",
}


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


def create_engine(settings: DatabaseSettings, *, bounded: bool = True) -> AsyncEngine:
    """Create the engine. Nothing connects yet.

    Args:
        settings: where the server is.
        bounded: short statement time-outs, as requests need them; False for migrations and bulk loads.

    """
    # The default of random_page_cost is that of turning disks: with it the planner reads whole tables where an index is faster.
    server_settings = {"application_name": "frankenjet", "timezone": "UTC", "jit": "off", "random_page_cost": "1.1"}
    connect_args: dict[str, Any] = {"timeout": CONNECT_TIMEOUT_S, "server_settings": server_settings}
    if bounded:
        server_settings |= SERVER_TIMEOUTS
        connect_args["command_timeout"] = COMMAND_TIMEOUT_S
    return create_async_engine(
        settings.sqlalchemy_url(),
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        pool_pre_ping=True,
        connect_args=connect_args,
        # Values of statements never reach the log: some are addresses and hashes.
        hide_parameters=True,
        json_serializer=_dumps,
        json_deserializer=orjson.loads,
    )


def create_session_factory(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Sessions whose objects stay readable after the commit."""
    return async_sessionmaker(engine, expire_on_commit=False)
