"""Documents as the history keeps them: a write document whose references are shown with id, slug and name."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Text, cast, select, union_all

from fastapi_application.crud.fields import fields_of
from fastapi_application.crud.models import model_of
from fastapi_application.crud.references import Mention, look_up, mentions

if TYPE_CHECKING:
    from pydantic import BaseModel
    from sqlalchemy.ext.asyncio import AsyncSession

type Json = dict[str, Any]


def _copy(document: Json) -> Json:
    copied: Json = orjson.loads(orjson.dumps(document))
    return copied


def referring_by(member: str, document: Json, schema: type[BaseModel]) -> Json:
    """Return the document as a request would write it, with references by their `id` or by their `slug` of then."""
    result = _copy(document)
    for mention in list(mentions(result, schema)):
        mention.holder[mention.key] = mention.ref[member]  # type: ignore[index] # a shown reference
    return result


async def referring_by_todays_slugs(session: AsyncSession, document: Json, schema: type[BaseModel]) -> Json:
    """Return the document with references by the slugs of today; what is gone since stays an id that nothing answers to."""
    result = referring_by("id", document, schema)
    found = list(mentions(result, schema))
    known = await look_up(session, found)
    for mention in found:
        if (mention.kind, mention.ref) in known:
            mention.holder[mention.key] = known[mention.kind, mention.ref].slug
    return result


async def for_the_public(session: AsyncSession, documents: list[Json], schema: type[BaseModel]) -> list[Json]:
    """Return copies without the references to what the public may not see, today."""
    results = [_copy(document) for document in documents]
    found = [mention for result in results for mention in mentions(result, schema) if _may_be_hidden(mention.kind)]
    public = await _public_among(session, found)
    hidden = [mention for mention in found if mention.ref["id"] not in public]  # type: ignore[index]
    for mention in reversed(hidden):  # later items first: the others keep their index
        if isinstance(mention.holder, list):
            del mention.holder[mention.key]
        else:
            mention.holder[mention.key] = None
    return [_without_empty_items(result, schema) for result in results] if hidden else results


def _without_empty_items(document: Json, schema: type[BaseModel]) -> Json:
    """Drop the items of lists whose reference was taken away: what stands beside it is about that entity."""
    for field in fields_of(schema):
        if field.is_list and field.schema is not None and field.key in document:
            keys = [nested.key for nested in fields_of(field.schema) if nested.kind is not None]
            document[field.key] = [item for item in document[field.key] if all(item.get(key) is not None for key in keys)]
    return document


def _may_be_hidden(kind: str) -> bool:
    model = model_of(kind)
    return model.is_public(model) is not None


async def _public_among(session: AsyncSession, found: list[Mention]) -> set[str]:
    ids: dict[str, set[uuid.UUID]] = {}
    for mention in found:
        ids.setdefault(mention.kind, set()).add(uuid.UUID(mention.ref["id"]))  # type: ignore[index]
    queries = []
    for kind, asked in ids.items():
        model = model_of(kind)
        public = model.is_public(model)
        queries.append(select(cast(model.id, Text)).where(model.id.in_(asked), *([] if public is None else [public])))
    return set(await session.scalars(union_all(*queries))) if queries else set()
