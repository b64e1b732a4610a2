"""How many entries there are, without counting them: triggers keep the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, ColumnElement, cast, func, select

from fastapi_application.crud.models import EntityCount

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


def public_count(model: Any) -> ColumnElement[int]:
    """Return how many entries of a kind everybody sees."""
    public = model.is_public(model)
    rows = select(func.count()).select_from(model)
    exact = (rows if public is None else rows.where(public)).scalar_subquery()
    return kept_count(model, exact, public=True) if model.is_public_by_itself else exact
