"""What a field of a schema is: analysed once per schema, used by the SQL, the filters and the writes."""

from __future__ import annotations

import types
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from fastapi_application.crud.schemas import RefersTo

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class SchemaField:
    """One field: its attribute name, its JSON key and the shape of its type."""

    name: str
    key: str
    type: Any
    """The type without None, list and metadata."""
    is_list: bool
    is_nullable: bool
    metadata: tuple[Any, ...]
    """Metadata at any level of the annotation, outermost first."""

    @property
    def kind(self) -> str | None:
        """The kind of entity that a write field refers to."""
        return next((item.kind for item in self.metadata if isinstance(item, RefersTo)), None)

    @property
    def schema(self) -> type[BaseModel] | None:
        """The nested schema, if the field is an object or a list of objects."""
        return self.type if isinstance(self.type, type) and issubclass(self.type, BaseModel) else None

    def marker[T](self, of: type[T]) -> T | None:
        """The metadata of this type, if there is one."""
        return next((item for item in self.metadata if isinstance(item, of)), None)


@cache
def fields_of(schema: type[BaseModel]) -> tuple[SchemaField, ...]:
    """All fields of a schema, in the order of the JSON."""
    return tuple(_field(name, info) for name, info in schema.model_fields.items())


def _field(name: str, info: FieldInfo) -> SchemaField:
    metadata: list[Any] = list(info.metadata)
    inner, nullable, is_list = _unwrap(info.annotation, metadata)
    return SchemaField(
        name=name,
        key=info.alias or name,
        type=inner,
        is_list=is_list,
        is_nullable=nullable,
        metadata=tuple(metadata),
    )


def _unwrap(annotation: Any, metadata: list[Any]) -> tuple[Any, bool, bool]:
    nullable = is_list = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *more = get_args(annotation)
            metadata.extend(more)
        elif origin in (Union, types.UnionType) and len(_members(annotation)) == 1:
            nullable = nullable or not is_list
            (annotation,) = _members(annotation)
        elif origin is list:
            is_list = True
            (annotation,) = get_args(annotation)
        else:
            return annotation, nullable, is_list


def _members(union: Any) -> list[Any]:
    return [member for member in get_args(union) if member is not type(None)]
