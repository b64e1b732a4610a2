"""What an error of the database means to a client. The errors are real: the server itself raises them."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ArgumentError, DBAPIError

from fastapi_application.core.config import DatabaseSettings, get_settings
from fastapi_application.core.db import create_engine, create_session_factory
from fastapi_application.core.errors import (
    AppError,
    DatabaseUnavailableError,
    DuplicateError,
    InUseError,
    SchemaOutOfDateError,
    ServiceUnavailableError,
    SlugTakenError,
    StateConflictError,
    ValidationFailedError,
)
from fastapi_application.crud.action import run_crud_action
from fastapi_application.crud.db_errors import translate_db_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncEngine

    from tests.support.application import Application


def raising(sqlstate: str, **using: str) -> str:
    """Return a statement that fails in the server with this SQLSTATE and these items."""
    items = "".join(f", {name} = '{value}'" for name, value in using.items())
    return f"DO $$ BEGIN RAISE EXCEPTION 'made by a test' USING ERRCODE = '{sqlstate}'{items}; END $$"


async def failure(engine: AsyncEngine, statement: str) -> Exception:
    """Return what an action raises whose statement fails."""
    async with create_session_factory(engine)() as session:
        try:
            await run_crud_action(session, session.execute, text(statement))
        except Exception as error:  # noqa: BLE001 - the tests look at its type
            return error
    raise AssertionError("the statement was expected to fail")


@asynccontextmanager
async def engine_of(settings: DatabaseSettings) -> AsyncIterator[AsyncEngine]:
    """Yield an engine of the test's own."""
    engine = create_engine(settings)
    try:
        yield engine
    finally:
        await engine.dispose()


@pytest.fixture
def engine(application: Application) -> AsyncEngine:
    """Return the application's engine."""
    engine: AsyncEngine = application.fastapi.state.engine
    return engine


EXPECTED = {
    "23505": (DuplicateError, 409),
    "23503": (StateConflictError, 409),
    "23514": (ValidationFailedError, 422),
    "23502": (ValidationFailedError, 422),
    "22001": (ValidationFailedError, 422),
    "22003": (ValidationFailedError, 422),
    "22021": (ValidationFailedError, 422),
    "40001": (DatabaseUnavailableError, 503),
    "40P01": (DatabaseUnavailableError, 503),
    "55P03": (DatabaseUnavailableError, 503),
    "57014": (DatabaseUnavailableError, 503),
    "57P01": (DatabaseUnavailableError, 503),
    "57P03": (DatabaseUnavailableError, 503),
    "53300": (DatabaseUnavailableError, 503),
    "08000": (DatabaseUnavailableError, 503),
    "08003": (DatabaseUnavailableError, 503),
    "08006": (DatabaseUnavailableError, 503),
    "25P03": (DatabaseUnavailableError, 503),
    "28P01": (DatabaseUnavailableError, 503),
    "3D000": (DatabaseUnavailableError, 503),
    "42P01": (SchemaOutOfDateError, 503),
    "42703": (SchemaOutOfDateError, 503),
}


@pytest.mark.parametrize("sqlstate", EXPECTED)
async def test_a_sqlstate_has_its_meaning(engine: AsyncEngine, sqlstate: str) -> None:
    error = await failure(engine, raising(sqlstate))
    expected, status = EXPECTED[sqlstate]
    assert type(error) is expected
    assert isinstance(error, AppError)
    assert error.status == status
    assert isinstance(error.__cause__, DBAPIError)
    assert ("Retry-After" in error.headers) is (status == 503)


@pytest.mark.parametrize("sqlstate", ["XX000", "42601", "42501", "P0001", "21000"])
async def test_a_bug_stays_a_bug(engine: AsyncEngine, sqlstate: str) -> None:
    error = await failure(engine, raising(sqlstate))
    assert isinstance(error, DBAPIError)
    assert not isinstance(error, AppError)


async def test_misuse_of_the_library_stays_what_it_is() -> None:
    error = ArgumentError("no such thing")
    assert translate_db_error(error) is error


@pytest.mark.parametrize(
    ("sqlstate", "constraint", "expected", "pointers"),
    [
        ("23505", "pk_entity_slug", SlugTakenError, ["/body/slug"]),
        ("23505", "uq_country_code", DuplicateError, ["/body/code"]),
        ("23505", "no_such_constraint", DuplicateError, []),
        ("23503", "fk_engine_country_id", StateConflictError, ["/body/country"]),
    ],
)
async def test_a_constraint_names_its_field(
    engine: AsyncEngine, sqlstate: str, constraint: str, expected: type[AppError], pointers: list[str]
) -> None:
    error = await failure(engine, raising(sqlstate, CONSTRAINT=constraint))
    assert type(error) is expected
    assert [item.pointer for item in error.errors] == pointers


async def test_a_missing_value_names_its_column(engine: AsyncEngine) -> None:
    error = await failure(engine, raising("23502", COLUMN="name"))
    assert isinstance(error, ValidationFailedError)
    assert [item.pointer for item in error.errors] == ["/body/name"]


async def test_a_row_that_others_refer_to_is_in_use(engine: AsyncEngine) -> None:
    detail = 'Key (id)=(1) is still referenced from table "aircraft_designer".'
    assert type(await failure(engine, raising("23503", DETAIL=detail))) is InUseError


async def test_the_text_of_the_database_never_reaches_the_client(engine: AsyncEngine) -> None:
    for sqlstate in EXPECTED:
        error = await failure(engine, raising(sqlstate, DETAIL="Key (email)=(somebody@example.org) already exists."))
        assert isinstance(error, AppError)
        shown = repr((error.detail, [item.as_dict() for item in error.errors], error.members))
        assert "made by a test" not in shown
        assert "example.org" not in shown


async def test_a_table_that_is_not_there_is_a_schema_out_of_date(engine: AsyncEngine) -> None:
    assert type(await failure(engine, "SELECT * FROM no_such_table")) is SchemaOutOfDateError
    assert type(await failure(engine, "SELECT no_such_column FROM aircraft")) is SchemaOutOfDateError


async def test_a_connection_that_is_cut_is_a_503_and_the_next_action_works(engine: AsyncEngine) -> None:
    assert type(await failure(engine, "SELECT pg_terminate_backend(pg_backend_pid())")) is DatabaseUnavailableError
    async with create_session_factory(engine)() as session:
        result = await run_crud_action(session, session.execute, text("SELECT 1"))
    assert result.scalar_one() == 1


async def test_a_connection_cut_while_it_waits_in_the_pool_is_not_noticed(engine: AsyncEngine, application: Application) -> None:
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'frankenjet' AND pid <> pg_backend_pid()"
    async with create_session_factory(engine)() as session:
        for statement in (others, "SELECT 1"):
            result = await run_crud_action(session, session.execute, text(statement))
    assert result.scalar_one() == 1
    async with application.client() as client:
        for answer in await asyncio.gather(*(client.get("/api/v1/aircraft") for _ in range(8))):
            assert answer.status_code == 200, answer.text


# --- servers that are not there, and pools that are empty -------------------------------------------------------------


@pytest.fixture
async def closed_port() -> AsyncIterator[int]:
    """Return a port where nothing listens, and nothing can."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def test_a_refused_connection_is_a_503(closed_port: int) -> None:
    async with engine_of(DatabaseSettings(host="127.0.0.1", port=closed_port)) as engine:
        assert type(await failure(engine, "SELECT 1")) is DatabaseUnavailableError


@pytest.mark.parametrize("change", [{"host": "/nowhere"}, {"name": "no_such_database"}, {"user": "nobody-here"}], ids=str)
async def test_a_server_that_refuses_us_is_a_503(database: str, change: dict[str, str]) -> None:
    async with engine_of(get_settings().db.model_copy(update=change)) as engine:
        assert type(await failure(engine, "SELECT 1")) is DatabaseUnavailableError


async def test_an_exhausted_pool_is_a_503_and_recovers(database: str) -> None:
    async with engine_of(get_settings().db.model_copy(update={"pool_size": 1})) as engine:
        async with engine.connect():
            error = await failure(engine, "SELECT 1")
        assert isinstance(error, ServiceUnavailableError)
        assert error.status == 503
        async with create_session_factory(engine)() as session:
            result = await run_crud_action(session, session.execute, text("SELECT 1"))
        assert result.scalar_one() == 1


async def test_a_statement_that_takes_too_long_is_a_503(engine: AsyncEngine) -> None:
    async with asyncio.timeout(2.5):
        assert type(await failure(engine, "SELECT pg_sleep(30)")) is DatabaseUnavailableError
