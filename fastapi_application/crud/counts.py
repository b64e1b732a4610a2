"""How many entries there are, without counting them: triggers keep the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, ColumnElement, Text, cast, func, select

from fastapi_application.crud.models import EntityCount, GroupCount

if TYPE_CHECKING:
    from fastapi_application.crud.models import EntityModel


def kept_count(model: type[EntityModel], exact: ColumnElement[int], *, public: bool) -> ColumnElement[int]:
    """Return the kept number of a kind's rows, or of those that the public may see.

    Args:
        model: the kind.
        exact: counts the same rows; a table without the triggers is counted as it is.
        public: only what the public may see; other rows must tell that by themselves (`is_public_by_itself`).

    """
    column = EntityCount.public if public else EntityCount.total
    kept = select(cast(func.sum(column), BigInteger)).where(EntityCount.kind == model.__kind__).scalar_subquery()
    return func.coalesce(kept, exact)


def kept_group_count(source: str, value: Any, exact: ColumnElement[int], *, public: bool) -> ColumnElement[int]:
    """Return the kept number of rows that have a value in a column.

    Args:
        source: table and column.
        value: what the column has.
        exact: counts the same rows; a column that no trigger counts by is counted as it is.
        public: only the rows that the public may see.

    """
    column = GroupCount.public if public else GroupCount.total
    kept = select(cast(func.sum(column), BigInteger)).where(GroupCount.source == source, GroupCount.value == cast(value, Text))
    return func.coalesce(kept.correlate_except(GroupCount).scalar_subquery(), exact)


def public_count(model: Any) -> ColumnElement[int]:
    """Return how many entries of a kind everybody sees."""
    public = model.is_public(model)
    rows = select(func.count()).select_from(model)
    exact = (rows if public is None else rows.where(public)).scalar_subquery()
    return kept_count(model, exact, public=True) if model.is_public_by_itself else exact
