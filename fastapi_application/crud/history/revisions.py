"""Revisions of one kind: one row for each change, with the document that PostgreSQL renders after it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    Boolean,
    ColumnElement,
    Insert,
    Integer,
    Select,
    Text,
    Uuid,
    bindparam,
    case,
    cast,
    func,
    insert,
    literal,
    literal_column,
    null,
    select,
    true,
)

from fastapi_application.crud.epilogue import defer, settle
from fastapi_application.crud.fields import fields_of
from fastapi_application.crud.history.documents import referring_by
from fastapi_application.crud.history.models import Revision
from fastapi_application.crud.history.schemas import MAX_NUMBER
from fastapi_application.crud.read_query import json_object, select_json

if TYPE_CHECKING:
    import uuid
    from datetime import datetime

    from pydantic import BaseModel
    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.crud.history.documents import Json
    from fastapi_application.crud.models import EntityModel

CREATE, UPDATE, REVERT, DELETE = "create", "update", "revert", "delete"
CONTENT_ACTIONS = (CREATE, UPDATE, REVERT)
"""What changes the text itself; everything else is a step of the workflow."""


@dataclass(frozen=True)
class Shape:
    """What a revision of a kind holds."""

    model: type[EntityModel]
    write_schema: type[BaseModel]
    detail_schema: type[BaseModel]
    state: tuple[str, ...] = ()
    """Fields of the detail, besides the write document, that were so at the time."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Who did what to an entity, and why."""

    action: str
    actor_id: uuid.UUID | None
    comment: str | None = None


@cache
def _rendered(shape: Shape) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return the columns of an entity's document and state as they are now."""
    columns = select_json(shape.detail_schema, shape.model, everything=True)
    keys = {field.key for field in fields_of(shape.write_schema)}
    document = json_object([column for column in columns if column.name in keys], within=shape.model)
    state = [column for column in columns if column.name in shape.state]
    return document, json_object(state, within=shape.model) if state else literal_column("'{}'::json")


@cache
def _insert(shape: Shape) -> Insert:
    """Return the statement that keeps the entity `:kept_id` as it is now, unless that revision is there already."""
    return _insert_from(shape, {}, shape.model.id == bindparam("kept_id", type_=Uuid))


@cache
def _insert_first(shape: Shape, *, one: bool) -> Insert:
    """Return the statement that keeps the entity `:kept_id`, or each, as it is now if nothing has been kept of it."""
    model = shape.model
    given: dict[str, Any] = {
        "number": model.version,
        "action": case((model.version == 1, CREATE), else_=UPDATE),
        "actor_id": func.coalesce(model.updated_by, model.created_by),
        "comment": null(),
        "at": model.updated_at,
        "is_public": _is_public(model),
    }
    new = ~select(Revision.number).where(Revision.entity_id == model.id).exists()
    return _insert_from(shape, given, new & (model.id == bindparam("kept_id", type_=Uuid)) if one else new)


def _is_public(model: type[EntityModel]) -> ColumnElement[bool]:
    public = model.is_readable(model)
    return true() if public is None else public


def _insert_from(shape: Shape, given: dict[str, Any], which: ColumnElement[bool]) -> Insert:
    model = shape.model
    document, state = _rendered(shape)
    values: dict[str, Any] = {
        "entity_id": model.id,
        "number": bindparam("kept_number", type_=Integer),
        "kind": literal(model.__kind__, Text),
        "action": bindparam("kept_action", type_=Text),
        "actor_id": bindparam("kept_actor_id", type_=Uuid),
        "comment": bindparam("kept_comment", type_=Text),
        "at": case((bindparam("kept_is_deletion", type_=Boolean), func.clock_timestamp()), else_=model.updated_at),
        "document": cast(document, JSON),
        "state": cast(state, JSON),
        "is_live": true(),
        "is_public": ~bindparam("kept_is_deletion", type_=Boolean) & _is_public(model),
        **given,
    }
    rows = select(*(value.label(key) for key, value in values.items())).where(which)
    return insert(Revision.__table__).from_select(list(values), rows)  # type: ignore[arg-type]


def is_number(text: str) -> bool:
    """Whether the text is a number that a revision can have."""
    return text.isascii() and text.isdigit() and len(text) < len(str(MAX_NUMBER))


class Revisions:
    """Writes and reads the revisions of one kind. The transaction is the caller's."""

    def __init__(self, session: AsyncSession, shape: Shape) -> None:
        """Bind to the session of an action."""
        self.session = session
        self.shape = shape

    async def keep(self, entity: EntityModel, edit: Edit, number: int | None = None) -> None:
        """Keep an entity, under its version or another number, as the database has it at the next `settle` or when the action ends."""
        await settle(self.session)
        values = {
            "kept_id": entity.id,
            "kept_number": entity.version if number is None else number,
            "kept_action": edit.action,
            "kept_actor_id": edit.actor_id,
            "kept_comment": edit.comment,
            "kept_is_deletion": edit.action == DELETE,
        }
        defer(self.session, _insert(self.shape), **values)

    async def keep_first(self, entity_id: uuid.UUID | None = None) -> None:
        """Keep what an entity, or each of the kind, was before its first change under history: rows that are older have no revision."""
        await self.session.execute(_insert_first(self.shape, one=entity_id is not None), {"kept_id": entity_id} if entity_id else {})

    async def keep_pending(self, entity: EntityModel, edit: Edit, number: int, document: Json, state: Json) -> None:
        """Keep a change that waits beside the public text."""
        self.session.add(
            Revision(
                entity_id=entity.id,
                number=number,
                kind=self.shape.model.__kind__,
                action=edit.action,
                actor_id=edit.actor_id,
                comment=edit.comment,
                at=func.clock_timestamp(),
                document=document,
                state=state,
                is_live=False,
                is_public=False,
            )
        )
        await self.session.flush()

    async def rendered(self, entity_id: uuid.UUID) -> tuple[Json, Json]:
        """Return document and state of an entity as a revision would keep them."""
        document, state = _rendered(self.shape)
        row = await self.session.execute(select(cast(document, JSON), cast(state, JSON)).where(self.shape.model.id == entity_id))
        found: tuple[Json, Json] = tuple(row.one())
        return found

    async def last_number(self, entity_id: uuid.UUID) -> int:
        """Return the number of the newest revision, 0 without any. An entity that comes back goes on where it ended."""
        newest = select(func.coalesce(func.max(Revision.number), 0)).where(Revision.entity_id == entity_id)
        return await self.session.scalar(newest) or 0

    async def find(self, entity_id: uuid.UUID, number: int) -> Revision | None:
        """Return one revision."""
        return await self.session.get(Revision, (entity_id, number))

    async def changed_fields(self, entity: EntityModel, if_match: frozenset[str]) -> list[str]:
        """Name the fields that have changed since the newest version that a client has seen; none, if it has seen no other."""
        id8 = entity.id.hex[:8]
        seen = [int(version) for tag in if_match for prefix, _, version in [tag.partition(".")] if prefix == id8 and is_number(version)]
        then = await self.find(entity.id, max(seen, default=0))
        now = await self.find(entity.id, entity.current_version)
        if then is None or now is None:
            return []
        old, new = ({**self.written(revision.document), **revision.state} for revision in (then, now))
        return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))

    def written(self, document: Json) -> Json:
        """Return a document of a revision as a request would write it, with references by id."""
        return referring_by("id", document, self.shape.write_schema)

    async def at(self, entity_id: uuid.UUID, moment: datetime, *, everything: bool) -> Revision | None:
        """Return the revision that was current at a moment: for the public the live one, if it was public."""
        newest: Select[tuple[Revision]] = (
            select(Revision).where(Revision.entity_id == entity_id, Revision.at <= moment).order_by(Revision.number.desc()).limit(1)
        )
        found = await self.session.scalar(newest if everything else newest.where(Revision.is_live))
        return found if found is not None and (everything or found.is_public) else None

    async def authors_since_published(self, entity_id: uuid.UUID) -> set[uuid.UUID]:
        """Return the accounts whose changes of the text the public has not seen."""
        of_entity = Revision.entity_id == entity_id
        published = select(func.coalesce(func.max(Revision.number), 0)).where(of_entity, Revision.is_public).scalar_subquery()
        changed = of_entity & (Revision.number > published) & Revision.action.in_(CONTENT_ACTIONS) & Revision.actor_id.is_not(None)
        found = await self.session.scalars(select(Revision.actor_id).where(changed).distinct())
        return {identifier for identifier in found if identifier is not None}
