"""What is carried: the tables, in the order in which they can be filled, and the rows that everybody may see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, Table, and_, case, false, func, inspect, null, or_, select, true

import fastapi_application.encyclopedia  # noqa: F401 - loads every model
from fastapi_application.accounts.models import User
from fastapi_application.core.db import Base
from fastapi_application.crud.models import EntityModel, EntitySlug, Link, all_kinds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Column
    from sqlalchemy.orm import Mapper

NOT_PUBLIC = ("revision",)
"""Tables that only a dump of everything has."""


def tables(*, everything: bool) -> list[Table]:
    """Return the tables of a dump; a table stands behind those that it refers to."""
    carried = {mapper.local_table for mapper in _mappers() if issubclass(mapper.class_, EntityModel | Link | EntitySlug)}
    if everything:
        carried |= {Base.metadata.tables[name] for name in NOT_PUBLIC if name in Base.metadata.tables}
    return [table for table in Base.metadata.sorted_tables if table in carried]


def columns(table: Table) -> list[Column[Any]]:
    """Return the columns that are carried: all that PostgreSQL does not compute."""
    return [column for column in table.columns if column.computed is None and not column.info.get("by_trigger")]


def rows(table: Table, *, everything: bool) -> Select[Any]:
    """Return the rows of a table in a stable order, each as one JSON object."""
    shown = [column if everything else _public_value(table, column) for column in columns(table)]
    public = true() if everything else _is_public(table)
    row = select(*shown).where(public).order_by(*table.primary_key.columns).subquery()
    return select(func.row_to_json(row.table_valued()))


def authors(*, everything: bool) -> Select[Any]:
    """Return the accounts that the rows name, as far as readers see them."""
    user = User.__table__
    named = [
        select(column).where(true() if everything else _is_public(table))
        for table in tables(everything=everything)
        for column in columns(table)
        if any(key.column.table is user for key in column.foreign_keys)
    ]
    ids = named[0].union(*named[1:])
    row = select(user.c.id, user.c.display_name).where(user.c.id.in_(ids)).order_by(user.c.id).subquery()
    return select(func.row_to_json(row.table_valued()))


def _mappers() -> Iterator[Mapper[Any]]:
    yield from Base.registry.mappers


def _model(table: Any) -> type[EntityModel] | None:
    return next((model for model in all_kinds().values() if inspect(model).local_table is table), None)


def _hidden(table: Any) -> ColumnElement[bool] | None:
    """Return the condition on the entities of a table that everybody sees; None: on all of them."""
    model = _model(table)
    return None if model is None else model.is_public(model)


def _is_public(table: Table) -> ColumnElement[bool]:
    own = _hidden(table)
    conditions = [] if own is None else [own]
    if table is EntitySlug.__table__:
        conditions += [_slug_is_public(kind, model) for kind, model in all_kinds().items()]
    elif _is_link(table):
        conditions += [_refers_to_public(column) for column in table.columns]
    return and_(true(), *conditions)


def _slug_is_public(kind: str, model: type[EntityModel]) -> ColumnElement[bool]:
    public = model.is_public(model)
    if public is None:
        return true()
    return or_(EntitySlug.kind != kind, EntitySlug.entity_id.in_(select(model.id).where(public)))


def _is_link(table: Table) -> bool:
    return any(mapper.local_table is table and issubclass(mapper.class_, Link) for mapper in _mappers())


def _refers_to_public(column: Column[Any]) -> ColumnElement[bool]:
    targets = [(key.column, _hidden(key.column.table)) for key in column.foreign_keys]
    hidden = [column.in_(select(target).where(condition)) for target, condition in targets if condition is not None]
    return and_(true(), *hidden)


def _public_value(table: Table, column: Column[Any]) -> Any:
    """Return a column, without references of an entity to what is not public and without what is not published yet."""
    model = _model(table)
    if model is not None and column.name in model.__unpublished__:
        return null().label(column.name)
    for key in column.foreign_keys:
        condition = _hidden(key.column.table)
        if condition is not None and not _is_link(table):
            other = key.column.table.alias()
            target = _model(key.column.table)
            public = None if target is None else target.is_public(other.c)
            seen = select(other.c.id).where(other.c.id == column, public if public is not None else false()).exists()
            return case((seen, column), else_=null()).label(column.name)
    return column
