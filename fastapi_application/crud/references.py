"""References in requests: found in one statement, whatever kinds they name."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, Text, cast, literal, select, union_all

from fastapi_application.core.errors import FieldError, ValidationFailedError
from fastapi_application.crud.fields import SchemaField, fields_of
from fastapi_application.crud.models import EntitySlug, model_of
from fastapi_application.crud.schemas import is_country_code, is_slug, parse_uuid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class Found:
    """An entity that a reference names."""

    id: uuid.UUID
    slug: str


type Resolved = dict[tuple[str, str], Found]


@dataclass(frozen=True, slots=True)
class Mention:
    """One reference in a write document: where it stands, and the dict or list that holds it."""

    kind: str
    ref: str
    pointer: str
    holder: Any
    key: Any


def mentions(document: dict[str, Any], schema: type[BaseModel], keys: set[str] | None = None, pointer: str = "/body") -> Iterator[Mention]:
    """Every reference of a write document (of some of its keys)."""
    for field in fields_of(schema):
        value = document.get(field.key)
        if value is not None and (keys is None or field.key in keys):
            yield from _field_mentions(field, document, value, f"{pointer}/{field.key}")


def _field_mentions(field: SchemaField, document: dict[str, Any], value: Any, pointer: str) -> Iterator[Mention]:
    if field.kind is not None and not field.is_list:
        yield Mention(field.kind, value, pointer, document, field.key)
    elif field.kind is not None:
        for index, ref in enumerate(value):
            yield Mention(field.kind, ref, f"{pointer}/{index}", value, index)
    elif field.schema is not None and field.is_list:
        for index, item in enumerate(value):
            yield from mentions(item, field.schema, None, f"{pointer}/{index}")


async def look_up(session: AsyncSession, found: list[Mention]) -> Resolved:
    """Find the mentioned entities, those that there are."""
    if not found:
        return {}
    rows = await session.execute(union_all(*_queries(found)))
    return {(kind, asked): Found(uuid.UUID(identifier), slug) for kind, asked, identifier, slug in rows}


async def resolve(session: AsyncSession, found: list[Mention]) -> Resolved:
    """Find every mentioned entity, and write its current slug into the document.

    Raises:
        ValidationFailedError: `unknown_reference`, naming each reference that nothing answers to.

    """
    resolved = await look_up(session, found)
    missing = [mention for mention in found if (mention.kind, mention.ref) not in resolved]
    if missing:
        raise ValidationFailedError(
            errors=[FieldError(item.pointer, "unknown_reference", f"There is no such entry among the {item.kind}.") for item in missing],
        )
    for mention in found:
        mention.holder[mention.key] = resolved[mention.kind, mention.ref].slug
    return resolved | {(kind, item.slug): item for (kind, _), item in resolved.items()}


def _queries(found: list[Mention]) -> Iterator[Select[Any]]:
    refs: dict[str, set[str]] = {}
    for mention in found:
        refs.setdefault(mention.kind, set()).add(mention.ref)
    for kind, asked in refs.items():
        model = model_of(kind)
        name, identifier = literal(kind, Text).label("kind"), cast(model.id, Text)
        if slugs := sorted(filter(is_slug, asked)):
            joined = (EntitySlug.entity_id == model.id, EntitySlug.kind == kind, EntitySlug.slug.in_(slugs))
            yield select(name, EntitySlug.slug, identifier, model.slug).where(*joined)
        if ids := [value for ref in sorted(asked) if (value := parse_uuid(ref))]:
            yield select(name, identifier, identifier, model.slug).where(model.id.in_(ids))
        if codes := sorted(filter(is_country_code, asked)):
            code = getattr(model, "code", None)
            if code is not None:
                yield select(name, code, identifier, model.slug).where(code.in_(codes))
        if not (slugs or ids or codes):
            yield select(name, model.slug, identifier, model.slug).where(model.slug.in_([]))
