"""What an error of the database means to a client: by SQLSTATE and constraint name, in this one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from sqlalchemy import CheckConstraint, Table, UniqueConstraint
from sqlalchemy.exc import DBAPIError, InvalidRequestError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError

from fastapi_application.core.db import Base
from fastapi_application.core.errors import (
    AppError,
    DatabaseUnavailableError,
    DuplicateError,
    FieldError,
    InUseError,
    PreconditionFailedError,
    SchemaOutOfDateError,
    ServiceUnavailableError,
    SlugTakenError,
    StateConflictError,
    ValidationFailedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_logger = structlog.get_logger(__name__)

SLUG_CONSTRAINT = "pk_entity_slug"
_RETRYABLE = {"40001", "40P01"}
_MISSING_SCHEMA = {"42P01", "42703", "3F000", "42883"}
_VALUE_ERRORS = {"23514", "23502"}


def is_retryable(error: DBAPIError) -> bool:
    """Whether the transaction certainly rolled back and may succeed when it is run again."""
    return _sqlstate(error) in _RETRYABLE


def translate_db_error(error: Exception) -> Exception:
    """Return the error to raise instead. A misuse of the library is a bug and stays what it is."""
    if isinstance(error, PoolTimeoutError):
        return ServiceUnavailableError()
    if isinstance(error, StaleDataError):
        return PreconditionFailedError()
    if not isinstance(error, SQLAlchemyError):  # raised while connecting, see DATABASE_ERRORS
        _logger.warning("database_unreachable", error=type(error).__name__)
        return DatabaseUnavailableError()
    if isinstance(error, DBAPIError):
        return _translate_sqlstate(error)
    if isinstance(error, InvalidRequestError) and "Can't reconnect" in str(error):
        return DatabaseUnavailableError()
    return error


def _translate_sqlstate(error: DBAPIError) -> Exception:
    state = _sqlstate(error)
    if state == "23505":
        return _unique_violation(error)
    if state == "23503":
        return _foreign_key_violation(error)
    if state in _VALUE_ERRORS or state.startswith("22"):
        return _value_error(error)
    if state in _MISSING_SCHEMA:
        _logger.error("schema_out_of_date", sqlstate=state)
        return SchemaOutOfDateError()
    # An error without a SQLSTATE comes from the driver: the connection was refused, lost or closed.
    if not state or state in _RETRYABLE or state in {"55P03", "25P03"} or state[:2] in {"08", "53", "57", "28", "3D"}:
        _logger.warning("database_unavailable", sqlstate=state, error=type(error.orig).__name__)
        return DatabaseUnavailableError()
    return error


def _unique_violation(error: DBAPIError) -> AppError:
    name = _constraint_name(error)
    if name == SLUG_CONSTRAINT:
        return SlugTakenError(errors=[FieldError("/body/slug", "slug_taken", SlugTakenError.default_detail)])
    return DuplicateError(errors=[FieldError(f"/body/{field}", "duplicate", DuplicateError.default_detail) for field in _fields_of(name)])


def _foreign_key_violation(error: DBAPIError) -> AppError:
    if "still referenced" in (getattr(_cause(error), "detail", "") or ""):
        return InUseError()
    fields = _fields_of(_constraint_name(error))
    detail = "The entry that this refers to was deleted meanwhile."
    return StateConflictError(detail, errors=[FieldError(f"/body/{field}", "unknown_reference", detail) for field in fields])


def _value_error(error: DBAPIError) -> AppError:
    _logger.warning("value_refused_by_database", constraint=_constraint_name(error), sqlstate=_sqlstate(error))
    column = getattr(_cause(error), "column_name", None)
    fields = [column] if column else _fields_of(_constraint_name(error))
    return ValidationFailedError(errors=[FieldError(f"/body/{field}", "invalid_value", "The value is not valid.") for field in fields])


def _fields_of(constraint: str) -> list[str]:
    return [column.removesuffix("_id") for table in Base.metadata.tables.values() for column in _columns_of(table, constraint)]


def _columns_of(table: Table, name: str) -> Iterable[str]:
    for constraint in table.constraints:
        if constraint.name == name and isinstance(constraint, UniqueConstraint):
            yield from (column.name for column in constraint.columns)
        if constraint.name == name and isinstance(constraint, CheckConstraint):
            field = name.removeprefix(f"ck_{table.name}_")
            yield from (column for column in (field, f"{field}_id") if column in table.c)
    for foreign_key in table.foreign_key_constraints:
        if foreign_key.name == name:
            yield from foreign_key.column_keys
    for index in table.indexes:
        if index.name == name and index.unique:
            yield from (column.name for column in index.columns)


def _cause(error: DBAPIError) -> BaseException | None:
    """The asyncpg exception below SQLAlchemy's adapter: it alone names the constraint."""
    return getattr(error.orig, "__cause__", None)


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _constraint_name(error: DBAPIError) -> str:
    return getattr(_cause(error), "constraint_name", None) or ""
