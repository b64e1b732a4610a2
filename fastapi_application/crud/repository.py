"""Queries over one kind of entity. Repositories never commit."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import ColumnElement, CursorResult, Text, cast, delete, literal_column, select
from sqlalchemy.dialects.postgresql import insert

from fastapi_application.core.actor import Actor, sees_unpublished
from fastapi_application.core.errors import FieldError, MovedError, NotFoundError, SlugTakenError
from fastapi_application.crud.cache_tags import TAGS, tags_of_document
from fastapi_application.crud.history.models import Revision
from fastapi_application.crud.list_query import (
    ListParams,
)
from fastapi_application.crud.models import EntityModel, EntitySlug
from fastapi_application.crud.pages import Page, PageQuery
from fastapi_application.crud.read_query import as_text, json_object, select_json
from fastapi_application.crud.schemas import is_slug, parse_uuid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel
    from sqlalchemy.ext.asyncio import AsyncSession

MAX_AUTOMATIC_SUFFIX = 10_000
# The flush of the entity itself ends every answer in which its slugs play a part.
_TAGGED_BY_ENTITY: dict[str, Any] = {TAGS: ()}


@dataclass(frozen=True, slots=True)
class Document:
    """An entity as a client gets it."""

    id: uuid.UUID
    slug: str
    version: int
    body: bytes
    model: type[EntityModel]
    schema: type[BaseModel]

    def tags(self) -> frozenset[str]:
        """Return what the read cache ends it by."""
        return tags_of_document(self.model, self.schema, self.id, self.body)

    @property
    def etag(self) -> str:
        """`<id8>.<version>.<hash>`: which entity, which version of it, and which rendering (names of others included)."""
        return f'"{self.id.hex[:8]}.{self.version}.{content_hash(self.body)}"'


def content_hash(body: bytes) -> str:
    """A short hash of the bytes, the same on every worker and after every restart."""
    return hashlib.blake2b(body, digest_size=9).hexdigest()


# The expressions of a kind are built once: building them costs more than running them, and a lock waits meanwhile.


@cache
def _document_query(model: type[EntityModel], schema: type[BaseModel], *, by_id: bool, everything: bool) -> str:
    """Return the statement that renders the entity with the id or slug `$1`; as text, which costs nothing at each use."""
    body = json_object(select_json(schema, model, everything=everything), within=model)
    public = None if everything else model.is_readable(model)
    named = model.id == literal_column("$1::uuid") if by_id else model.slug == literal_column("$1::text")
    return as_text(select(model.id, model.slug, model.version, cast(body, Text)).where(named, *([] if public is None else [public])))


@cache
def _snapshot_query(model: type[EntityModel], schema: type[BaseModel]) -> str:
    """Return the statement that renders the write document of the entity with the id `$1`."""
    body = json_object(select_json(schema, model, everything=True), within=model)
    return as_text(select(cast(body, Text)).where(model.id == literal_column("$1::uuid")))


class Repository[M: EntityModel]:
    """Reads and locks entities of one kind."""

    def __init__(self, session: AsyncSession, model: type[M]) -> None:
        """Bind the repository to a session; the transaction is the caller's."""
        self.session = session
        self.model = model

    # --- one entity -------------------------------------------------------------------------------------------------

    async def document(self, ref: str, schema: type[BaseModel], viewer: Actor | None) -> Document:
        """Render one entity.

        Raises:
            NotFoundError: nothing answers to the ref, or nothing that the viewer may see.
            MovedError: the slug is a former one.

        """
        identifier = parse_uuid(ref)
        statement = _document_query(self.model, schema, by_id=identifier is not None, everything=sees_unpublished(viewer))
        row = (await self._text(statement, identifier or ref)).one_or_none() if identifier or is_slug(ref) else None
        if row is None:
            await self._raise_moved(ref, viewer)
            raise NotFoundError(cache_tags={self.model.__kind__})
        return Document(row[0], row[1], row[2], row[3].encode(), self.model, schema)

    async def identify(self, ref: str, viewer: Actor | None = None) -> tuple[uuid.UUID, str]:
        """Return id and slug of one entity.

        Raises:
            NotFoundError: nothing answers to the ref, or nothing that the viewer may see.
            MovedError: the slug is a former one.

        """
        identifier = parse_uuid(ref)
        public = None if sees_unpublished(viewer) else self.model.is_readable(self.model)
        named = self.model.id == identifier if identifier else self.model.slug == ref
        row = None
        if identifier or is_slug(ref):
            found = await self.session.execute(select(self.model.id, self.model.slug).where(named, *([] if public is None else [public])))
            row = found.one_or_none()
        if row is None:
            await self._raise_moved(ref, viewer)
            raise NotFoundError(cache_tags={self.model.__kind__})
        return row[0], row[1]

    async def lock(self, ref: str, *, deletes: bool = False) -> tuple[M, bool]:
        """Lock one entity for a change. What the lock guards is read after it, not before the wait.

        Others may go on linking to an entity that changes, but not to one that is being deleted.

        Returns:
            The entity, and whether its history had begun before the wait.

        Raises:
            NotFoundError: nothing answers to the ref.
            MovedError: the slug is a former one.

        """
        identifier = parse_uuid(ref)
        if identifier is None and not is_slug(ref):
            raise NotFoundError
        matches = self.model.id == identifier if identifier else self.model.slug == ref
        has_history = select(Revision.number).where(Revision.entity_id == self.model.id).exists()
        statement = select(self.model, has_history).where(matches).with_for_update(key_share=not deletes, of=self.model)
        row = (await self.session.execute(statement)).one_or_none()
        if row is None:
            await self._raise_moved(ref, None, everything=True)
            raise NotFoundError
        return row[0], row[1]

    async def snapshot(self, identifier: uuid.UUID, schema: type[BaseModel]) -> dict[str, Any]:
        """Return the write document of an entity: its writable fields, with references as slugs."""
        text = (await self._text(_snapshot_query(self.model, schema), identifier)).scalar_one()
        document: dict[str, Any] = orjson.loads(text)
        return document

    async def snapshots(self, schema: type[BaseModel]) -> dict[uuid.UUID, tuple[uuid.UUID | None, dict[str, Any]]]:
        """Return the write documents of all entities by id, each with the account that changed it last."""
        body = json_object(select_json(schema, self.model, everything=True), within=self.model)
        rows = await self.session.execute(select(self.model.id, self.model.updated_by, cast(body, Text)))
        return {identifier: (editor, orjson.loads(text)) for identifier, editor, text in rows}

    async def _text(self, statement: str, parameter: object) -> CursorResult[Any]:
        return await (await self.session.connection()).exec_driver_sql(statement, (parameter,))

    def visible(self, entity: Any, viewer: Actor | None) -> Sequence[ColumnElement[bool]]:
        """Return the condition that hides from this viewer what is not public."""
        public = None if sees_unpublished(viewer) else self.model.is_public(entity)
        return [] if public is None else [public]

    async def _raise_moved(self, ref: str, viewer: Actor | None, *, everything: bool = False) -> None:
        if not is_slug(ref):
            return
        public = None if everything or sees_unpublished(viewer) else self.model.is_readable(self.model)
        visible = [] if public is None else [public]
        former = (EntitySlug.kind == self.model.__kind__, EntitySlug.slug == ref, EntitySlug.entity_id == self.model.id)
        slug = await self.session.scalar(select(self.model.slug).where(*former, *visible))
        if slug is not None:
            raise MovedError(self.model.__kind__, ref, slug)

    # --- lists ------------------------------------------------------------------------------------------------------

    async def page(self, schema: type[BaseModel], parameters: ListParams, viewer: Actor | None) -> Page:
        """Render a page: by number with a total, or by cursor."""
        query = PageQuery(self.model, schema, parameters, everything=sees_unpublished(viewer))
        return await (query.numbered(self.session) if parameters.cursor is None else query.after_cursor(self.session))

    # --- slugs ------------------------------------------------------------------------------------------------------

    async def claim_slug(self, slug: str, identifier: uuid.UUID) -> None:
        """Reserve an explicit slug for an entity.

        Raises:
            SlugTakenError: it is, or was, another entity's.

        """
        if not await self._claim(slug, identifier):
            raise SlugTakenError(errors=[FieldError("/body/slug", "slug_taken", SlugTakenError.default_detail)])

    async def claim_free_slug(self, base: str, identifier: uuid.UUID) -> str:
        """Reserve the first that is free of `base`, `base-2`, `base-3` and so on."""
        for number in range(1, MAX_AUTOMATIC_SUFFIX):
            suffix = "" if number == 1 else f"-{number}"
            slug = f"{base[: 120 - len(suffix)].rstrip('-')}{suffix}"
            if await self._claim(slug, identifier):
                return slug
        raise SlugTakenError

    async def _claim(self, slug: str, identifier: uuid.UUID) -> bool:
        """Insert, or find that the entity had this slug before. A concurrent claim of another entity is waited for."""
        if slug in self.model.reserved_slugs:
            return False
        values = {"kind": self.model.__kind__, "slug": slug, "entity_id": identifier}
        claim = insert(EntitySlug).values(values)
        claim = claim.on_conflict_do_update(
            index_elements=["kind", "slug"],
            set_={"entity_id": claim.excluded.entity_id},
            where=EntitySlug.entity_id == claim.excluded.entity_id,
        )
        claimed = claim.returning(EntitySlug.slug).execution_options(**_TAGGED_BY_ENTITY)
        return (await self.session.execute(claimed)).one_or_none() is not None

    async def release_slugs(self, identifier: uuid.UUID) -> None:
        """Free all slugs of an entity that is deleted."""
        statement = delete(EntitySlug).where(EntitySlug.kind == self.model.__kind__, EntitySlug.entity_id == identifier)
        await self.session.execute(statement.execution_options(**_TAGGED_BY_ENTITY))
