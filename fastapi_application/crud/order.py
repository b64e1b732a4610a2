"""The order of lists: total, with nulls last both ways."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, ColumnElement, and_, inspect, or_, true
from sqlalchemy.dialects.postgresql import ARRAY

from fastapi_application.crud.fields import fields_of
from fastapi_application.crud.read_query import column_attribute

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel

    from fastapi_application.crud.models import EntityModel

type Condition = ColumnElement[bool]


def sort_keys(model: type[EntityModel], item: type[BaseModel]) -> dict[str, tuple[str, ...]]:
    """Return the sortable fields: each names the mapped attributes that it orders by."""
    return _sort_keys(model, item)


@cache
def _sort_keys(model: type[EntityModel], item: type[BaseModel]) -> dict[str, tuple[str, ...]]:
    mapper = inspect(model)
    keys: dict[str, tuple[str, ...]] = {}
    for field in fields_of(item):
        if field.name in mapper.composites:
            keys[field.key] = tuple(column_attribute(mapper, field.name, bound) for bound in ("earliest", "latest"))
        elif field.name in mapper.column_attrs and not isinstance(mapper.column_attrs[field.name].columns[0].type, ARRAY | JSON):
            keys[field.key] = (model.sort_attribute(field.name),)
    return keys


@dataclass(frozen=True, slots=True)
class SortKey:
    """One attribute to order by."""

    attribute: str
    descending: bool

    def order(self, entity: Any) -> ColumnElement[Any]:
        """ORDER BY term of an entity."""
        return self.ordered(getattr(entity, self.attribute))

    def ordered(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """ORDER BY term: nulls last both ways."""
        return (column.desc() if self.descending else column.asc()).nulls_last()

    def after(self, column: Any, value: object) -> Condition:
        """What comes after the value in this order."""
        if value is None:
            return ~true()
        return or_(column < value if self.descending else column > value, column.is_(None))


def parse_sort(names: Iterable[str], keys: dict[str, tuple[str, ...]]) -> list[SortKey]:
    """Return the attributes to order by, ending with the id: a total order."""
    result: list[SortKey] = []
    for name in names:
        descending = name.startswith("-")
        result += [SortKey(attribute, descending) for attribute in keys[name.removeprefix("-")]]
    return [*result, SortKey("id", descending=False)]


def keyset(entity: Any, keys: list[SortKey], values: list[Any]) -> Condition:
    """Return the condition for the rows behind the one with these values."""
    alternatives: list[Condition] = []
    equal: list[Condition] = []
    for key, value in zip(keys, values, strict=True):
        column = getattr(entity, key.attribute)
        alternatives.append(and_(*equal, key.after(column, value)))
        equal.append(column.is_(None) if value is None else column == value)
    behind = or_(*alternatives)
    first = inspect(entity).mapper.column_attrs[keys[0].attribute].columns[0]
    if first.nullable:
        return behind
    # Says nothing new, but in a way that an index can begin at.
    column = getattr(entity, keys[0].attribute)
    return and_(column <= values[0] if keys[0].descending else column >= values[0], behind)
