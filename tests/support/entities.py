"""What tests know of every kind: its service, its relations, its documents. Found from the code, so a new kind is covered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi_application.crud.fields import SchemaField, fields_of
from fastapi_application.crud.service import EntityService
from fastapi_application.encyclopedia import ROUTERS
from tests.factories.registry import FACTORIES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from pydantic import BaseModel

assert ROUTERS  # importing the registry has loaded every service
SERVICES: dict[str, type[EntityService[Any, Any]]] = {service.model.__kind__: service for service in EntityService.__subclasses__()}
KINDS = sorted(FACTORIES)


def as_written(shown: Any) -> Any:
    """Return what a response shows as a request would write it: references as slugs."""
    if isinstance(shown, dict):
        if {"id", "slug"} <= set(shown):
            return shown["slug"]
        return {key: as_written(value) for key, value in shown.items()}
    return [as_written(item) for item in shown] if isinstance(shown, list) else shown


def _fields(kind: str) -> tuple[SchemaField, ...]:
    schema: type[BaseModel] = SERVICES[kind].write_schema
    return fields_of(schema)


def write_document(kind: str, shown: dict[str, Any]) -> dict[str, Any]:
    """Return the writable part of a response as a request would write it."""
    return {field.key: as_written(shown[field.key]) for field in _fields(kind)}


def empty_fields(kind: str) -> dict[str, Any]:
    """Return what each optional field but the slug holds when a request does not name it."""
    fields = SERVICES[kind].write_schema.model_fields
    optional = {info.alias or name: info for name, info in fields.items() if not info.is_required() and name != "slug"}
    return {key: info.get_default(call_default_factory=True) for key, info in optional.items()}


@dataclass(frozen=True, slots=True)
class Relation:
    """A field of a write document that refers to other entities."""

    owner: str
    field: str
    target: str
    is_list: bool
    nested: str | None
    """The key of the reference inside an item, where items have attributes of their own."""

    def __str__(self) -> str:
        """Name the relation in the id of a test."""
        return f"{self.owner}.{self.field}"

    async def value(self, refs: list[Any], number: int, make: Callable[..., Awaitable[dict[str, Any]]]) -> Any:
        """Return the field's value that names these references: a field that is no list takes the only one."""
        if not self.is_list:
            (ref,) = refs
            return ref
        if self.nested is None:
            return refs
        (item, *_) = (await FACTORIES[self.owner].full(number, make))[self.field]
        return [{**item, self.nested: ref} for ref in refs]

    def shown(self, document: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the references that a response shows in the field."""
        value = document[self.field]
        items = value if self.is_list else [value]
        return [item[self.nested] for item in items] if self.nested else items


def _relations(owner: str, schema: type[BaseModel]) -> Iterator[Relation]:
    for field in fields_of(schema):
        if field.kind is not None:
            yield Relation(owner, field.key, field.kind, field.is_list, nested=None)
        elif field.schema is not None:
            for nested in fields_of(field.schema):
                if nested.kind is not None:
                    yield Relation(owner, field.key, nested.kind, field.is_list, nested.key)


RELATIONS = [relation for kind, service in sorted(SERVICES.items()) for relation in _relations(kind, service.write_schema)]
