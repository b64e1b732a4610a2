"""What refers to an entity: found from the foreign keys, so that a new relation is covered without a word."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, Text, func, inspect, literal, select, union_all

from fastapi_application.crud.models import EntityModel, Link, all_kinds

if TYPE_CHECKING:
    import uuid

    from sqlalchemy.ext.asyncio import AsyncSession


async def references_to(session: AsyncSession, entity: EntityModel) -> list[dict[str, Any]]:
    """List the kinds that refer to an entity, each with how many do and the first of them by slug."""
    queries = [_count(owner, column, through, entity.id) for owner, column, through in _referrers(type(entity))]
    if not queries:
        return []
    found: dict[str, dict[str, Any]] = {}
    for kind, slug, count in await session.execute(union_all(*queries)):
        if count:
            known = found.setdefault(kind, {"kind": kind, "slug": slug, "count": 0})
            known["count"] += count
            known["slug"] = min(known["slug"], slug)
    return [found[kind] for kind in sorted(found)]


type _Referrer = tuple[type[EntityModel], ColumnElement[Any], ColumnElement[bool] | None]


@cache
def _referrers(model: type[EntityModel]) -> tuple[_Referrer, ...]:
    """Each foreign key to the model's table that is not a link's to its own owner."""
    return tuple(referrer for mapper in model.registry.mappers for referrer in _referrers_in(mapper.class_, model))


def _referrers_in(source: type[Any], target: type[EntityModel]) -> list[_Referrer]:
    mapper = inspect(source)
    columns = [column for column in mapper.local_table.c if any(key.column.table is target.__table__ for key in column.foreign_keys)]
    if issubclass(source, Link):
        owner_key = f"{source.__owner__}_id"
        owner: type[EntityModel] = mapper.relationships[source.__owner__].mapper.class_
        joined = getattr(source, owner_key) == owner.id
        return [(owner, column, joined) for column in columns if column.key != owner_key]
    return [(source, column, None) for column in columns] if source in all_kinds().values() else []


def _count(owner: type[EntityModel], column: ColumnElement[Any], joined: ColumnElement[bool] | None, identifier: uuid.UUID) -> Select[Any]:
    conditions = [column == identifier, *([] if joined is None else [joined])]
    kind = literal(owner.__kind__, Text)
    return select(kind, func.min(owner.slug), func.count(owner.id.distinct())).where(*conditions)
