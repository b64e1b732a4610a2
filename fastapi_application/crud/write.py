"""Carries a write document over to an entity's row and links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect
from sqlalchemy.orm import Mapper

from fastapi_application.core.dates import parse_edtf
from fastapi_application.crud.fields import SchemaField, fields_of
from fastapi_application.crud.models import EntityModel, Link

if TYPE_CHECKING:
    from pydantic import BaseModel

    from fastapi_application.crud.references import Resolved


def link_fields(model: type[EntityModel], schema: type[BaseModel]) -> set[str]:
    """Return the keys of the fields that are lists of links."""
    relationships = inspect(model).relationships
    return {field.key for field in fields_of(schema) if field.name in relationships and field.is_list}


def apply(entity: EntityModel, schema: type[BaseModel], document: dict[str, Any], changed: set[str], resolved: Resolved) -> None:
    """Set the changed fields of an entity. Its changed lists of links must be loaded."""
    relationships = inspect(type(entity)).relationships
    for field in fields_of(schema):
        if field.key not in changed:
            continue
        if field.name in relationships and field.is_list:
            related: type[Link] = relationships[field.name].mapper.class_
            rows = getattr(entity, field.name)
            rows[:] = _links(related, rows, field, document[field.key], resolved)
        else:
            _set(entity, field, document[field.key], resolved)


def _set(row: EntityModel | Link, field: SchemaField, value: Any, resolved: Resolved) -> None:
    mapper: Mapper[Any] = inspect(type(row))
    if field.kind is not None:
        setattr(row, f"{field.name}_id", None if value is None else resolved[field.kind, value].id)
    elif field.name in mapper.composites:
        setattr(row, field.name, None if value is None else parse_edtf(value))
    else:
        setattr(row, field.name, value)


def _links(related: type[Link], rows: list[Link], field: SchemaField, items: list[Any], resolved: Resolved) -> list[Link]:
    """Reuse the rows that stay, so that a change touches only what it changes."""
    wanted = [_link(related, field, item, resolved) for item in items]
    existing = {_identity(row): row for row in rows}
    return [_merge(existing.get(_identity(new)), new, position) for position, new in enumerate(wanted)]


def _link(related: type[Link], field: SchemaField, item: Any, resolved: Resolved) -> Link:
    row = related()
    if field.schema is None:
        setattr(row, f"{related.__target__}_id", resolved[str(field.kind), item].id)
    else:
        for nested in fields_of(field.schema):
            _set(row, nested, item.get(nested.key), resolved)
    return row


def _identity(row: Link) -> tuple[Any, ...]:
    owner = f"{type(row).__owner__}_id"
    keys = [str(column.key) for column in inspect(type(row)).primary_key if column.key != owner]
    return tuple(getattr(row, key) for key in keys)


def _merge(existing: Link | None, new: Link, position: int) -> Link:
    new.position = position
    if existing is None:
        return new
    kept = {f"{type(new).__owner__}_id", "sort_name"}
    for prop in inspect(type(new)).column_attrs:
        if prop.key not in kept and getattr(existing, prop.key) != getattr(new, prop.key):
            setattr(existing, prop.key, getattr(new, prop.key))
    return existing
