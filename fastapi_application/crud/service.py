"""The generic service: reads and safe writes of one kind. An entity's own service adds its rules to the hooks."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ValidationError
from slugify import slugify
from sqlalchemy import func

from fastapi_application.core.errors import FieldError, InUseError, PreconditionFailedError, ValidationFailedError
from fastapi_application.crud import audit
from fastapi_application.crud import write as writing
from fastapi_application.crud.epilogue import settle
from fastapi_application.crud.history.changes import Action, PublicChange, announce
from fastapi_application.crud.history.reading import HistoryReader
from fastapi_application.crud.history.revisions import CREATE, DELETE, REVERT, UPDATE, Edit, Revisions, Shape
from fastapi_application.crud.in_use import references_to
from fastapi_application.crud.json_patch import JsonPatch
from fastapi_application.crud.merge_patch import merge_patch
from fastapi_application.crud.pages import Page
from fastapi_application.crud.read_query import register_item_schema
from fastapi_application.crud.references import Resolved, mentions, resolve
from fastapi_application.crud.repository import Document, Repository
from fastapi_application.crud.schemas import parse_uuid
from fastapi_application.crud.validation import validation_failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.core.actor import Actor
    from fastapi_application.crud.list_query import ListParams
    from fastapi_application.crud.models import EntityModel
    from fastapi_application.crud.schemas import WriteSchema

MAX_AUTOMATIC_SLUG = 110
_TOLD: dict[tuple[bool, bool], Action] = {(False, True): "create", (True, True): "update", (True, False): "delete"}

type Patch = dict[str, Any] | JsonPatch


@dataclass(frozen=True, slots=True)
class Note:
    """What the history says of a change."""

    action: str
    comment: str | None = None


def _patched(current: dict[str, Any], patch: Patch) -> Any:
    if not isinstance(patch, JsonPatch):
        return merge_patch({**current, "slug": None}, patch)
    document = patch.apply(current)
    same_slug = isinstance(document, dict) and document.get("slug") == current["slug"]
    return {**document, "slug": None} if same_slug else document


def is_public(entity: EntityModel) -> bool:
    """Whether the public may read this entity, as it is in memory."""
    condition = type(entity).is_readable(entity)
    return condition is None or bool(condition)


class ReadService[M: EntityModel]:
    """Reads of one kind. Methods run inside `run_crud_action`."""

    model: ClassVar[type[Any]]
    item_schema: ClassVar[type[BaseModel]]
    detail_schema: ClassVar[type[BaseModel]]
    default_sort: ClassVar[str] = "name"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let lists of other kinds show entities of this one."""
        super().__init_subclass__(**kwargs)
        if "item_schema" in cls.__dict__:
            register_item_schema(cls.model.__kind__, cls.item_schema)

    def __init__(self, session: AsyncSession) -> None:
        """Bind the service to the session of its action."""
        self.session = session
        self.repository: Repository[M] = Repository(session, self.model)

    async def list(self, parameters: ListParams, viewer: Actor | None) -> Page:
        """Render a page of the list."""
        return await self.repository.page(self.item_schema, parameters, viewer)

    async def read(self, ref: str, viewer: Actor | None) -> Document:
        """Render one entity by slug or id."""
        return await self.repository.document(ref, self.detail_schema, viewer)


class EntityService[M: EntityModel, W: WriteSchema](ReadService[M]):
    """Reads and writes of one kind."""

    write_schema: ClassVar[type[Any]]
    state_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that no body writes and that a revision keeps all the same."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the service to the session of its action."""
        super().__init__(session)
        self.revisions = Revisions(session, Shape(self.model, self.write_schema, self.detail_schema, self.state_fields))
        self.history = HistoryReader(self.repository, self.revisions)

    async def read_at(self, ref: str, moment: datetime, viewer: Actor | None) -> Document:
        """Render one entity as it was at a moment.

        Raises:
            NotFoundError: it was not there yet, or the viewer may not know what it was.

        """
        current = await self.repository.document(ref, self.detail_schema, viewer)
        return await self.history.document_at(current, moment, viewer)

    async def create(self, body: W, actor: Actor, comment: str | None = None) -> Document:
        """Create an entity; its slug comes from its name unless the body has one."""
        entity = await self.insert(body, actor, uuid.uuid4(), comment)
        return await self.read(str(entity.id), actor)

    async def insert(self, body: W, actor: Actor, identifier: uuid.UUID, comment: str | None = None) -> M:
        """Add an entity under a given id."""
        document = body.model_dump(mode="json", by_alias=True)
        resolved = await self._resolve(document, set(document))
        version = await self.revisions.last_number(identifier) + 1
        entity: M = self.model(id=identifier, version=version, created_by=actor.id)
        entity.slug = await self._first_slug(body, entity.id)
        writing.apply(entity, self.write_schema, document, set(document) - {"slug"}, resolved)
        await self.before_insert(entity, actor)
        await self.before_write({key for key, value in document.items() if value})
        self.session.add(entity)
        await self.session.flush()
        await self.after_write(entity, set(document))
        await self.record(entity, CREATE, actor, comment, was_public=False)
        return entity

    async def replace(self, ref: str, if_match: frozenset[str], body: W, actor: Actor, comment: str | None = None) -> Document:
        """Replace every writable field; what the body lacks becomes empty, the slug stays."""
        return await self.change(ref, if_match, lambda _: body, actor, comment)

    async def patch(self, ref: str, if_match: frozenset[str], patch: Patch, actor: Actor, comment: str | None = None) -> Document:
        """Apply a patch to the write document. A slug that it does not change may follow the change.

        Args:
            ref: slug or id.
            if_match: the versions that the client has seen.
            patch: a JSON Merge Patch (RFC 7396), or a JSON Patch (RFC 6902).
            actor: who changes it.
            comment: why.

        """
        return await self.change(ref, if_match, lambda current: self.validate(_patched(current, patch)), actor, comment)

    async def revert(self, ref: str, if_match: frozenset[str], number: int, actor: Actor, comment: str | None = None) -> Document:
        """Make an entity, its relations included, what it was in an earlier revision.

        Raises:
            ValidationFailedError: there is no such revision, or it refers to what is gone.

        """
        entity = await self.locked(ref, if_match, actor)
        revision = await self.revisions.find(entity.id, number)
        if revision is None:
            detail = "This entry has no such revision."
            raise ValidationFailedError(errors=[FieldError("/body/revision", "unknown_revision", detail)])
        body = self.validate(self.revisions.written(revision.document))
        await self.store(entity, await self.current(entity), body, actor, Note(REVERT, comment or f"Back to revision {number}."))
        return await self.read(str(entity.id), actor)

    async def delete(self, ref: str, if_match: frozenset[str], actor: Actor, comment: str | None = None) -> None:
        """Delete an entity that nothing else refers to. Its revisions stay.

        Raises:
            InUseError: something refers to it; says what.

        """
        entity, has_history = await self.repository.lock(ref, deletes=True)
        await self.check_version(entity, if_match, actor)
        references = await references_to(self.session, entity)
        if references:
            raise InUseError(references=references)
        number = entity.current_version + 1
        if not has_history:
            await self.revisions.keep_first(entity.id)
        await self.revisions.keep(entity, Edit(DELETE, actor.id, comment), number)
        await settle(self.session)
        await self.repository.release_slugs(entity.id)
        await self.session.delete(entity)
        await self.session.flush()
        if is_public(entity):
            announce(self.session, PublicChange(self.model.__kind__, entity.id, entity.slug, "delete", number))
        await audit.record(self.session, DELETE, actor, kind=self.model.__kind__, subject=entity.id, comment=comment)

    async def change(
        self, ref: str, if_match: frozenset[str] | None, make: Callable[[dict[str, Any]], W], actor: Actor, comment: str | None = None
    ) -> Document:
        """Lock the entity, make its new write document, save what differs. No difference: the version stays."""
        entity = await self.locked(ref, if_match, actor)
        current = await self.current(entity)
        await self.store(entity, current, make(current), actor, Note(UPDATE, comment))
        return await self.read(str(entity.id), actor)

    async def locked(self, ref: str, if_match: frozenset[str] | None, actor: Actor) -> M:
        """Lock an entity that has the version which the client has seen; None: whatever version it has."""
        await settle(self.session)
        entity, has_history = await self.repository.lock(ref)
        if if_match is not None:
            await self.check_version(entity, if_match, actor)
        if not has_history:
            await self.revisions.keep_first(entity.id)
        return entity

    async def current(self, entity: M) -> dict[str, Any]:
        """Return the write document that an editor works on."""
        return await self.repository.snapshot(entity.id, self.write_schema)

    async def store(self, entity: M, current: dict[str, Any], body: W, actor: Actor, note: Note) -> None:
        """Save what differs from the current write document as one revision."""
        was_public = is_public(entity)
        if await self.save(entity, current, body, actor):
            await self.record(entity, note.action, actor, note.comment, was_public=was_public)

    def validate(self, document: dict[str, Any]) -> W:
        """Check a patched document as a whole.

        Raises:
            ValidationFailedError: naming each wrong field.

        """
        try:
            body: W = self.write_schema.model_validate(document)
        except ValidationError as error:
            raise validation_failed(error, "/body", self.read_only_fields()) from None
        return body

    @classmethod
    def read_only_fields(cls) -> frozenset[str]:
        """Return the keys that responses have and requests must not."""
        keys = {field.alias or name for name, field in cls.detail_schema.model_fields.items()}
        return frozenset(keys - {field.alias or name for name, field in cls.write_schema.model_fields.items()})

    async def check_version(self, entity: M, if_match: frozenset[str], actor: Actor) -> None:
        """Refuse a change of a version that the client has not seen.

        Raises:
            PreconditionFailedError: with the current ETag, and the fields that have changed since the client's version.

        """
        if f"{entity.id.hex[:8]}.{entity.current_version}" not in if_match:
            etag = (await self.read(str(entity.id), actor)).etag
            changed = await self.revisions.changed_fields(entity, if_match)
            raise PreconditionFailedError(headers={"ETag": etag}, current_etag=etag, changed_fields=changed)

    # --- hooks ------------------------------------------------------------------------------------------------------

    def advance(self, entity: M) -> None:
        """Set the version of a changed entity."""
        entity.version = entity.current_version + 1

    def automatic_slug(self, body: W, identifier: uuid.UUID) -> str:  # noqa: ARG002 - for overriders
        """Return the slug that a new entity gets unless its body has one; a number is added if it is taken."""
        text = str(getattr(body, self.model.__label__))
        return slugify(text, max_length=MAX_AUTOMATIC_SLUG, word_boundary=True) or self.model.__kind__

    async def before_insert(self, entity: M, actor: Actor) -> None:
        """Set what is not in the body."""

    async def before_write(self, changed: set[str]) -> None:
        """Take locks that must be held before the first statement of the change."""

    async def after_write(self, entity: M, changed: set[str]) -> None:
        """Check, inside the transaction, what spans several rows."""

    # --- steps ------------------------------------------------------------------------------------------------------

    async def _first_slug(self, body: W, identifier: uuid.UUID) -> str:
        if body.slug is not None:
            await self.repository.claim_slug(body.slug, identifier)
            return body.slug
        base = self.automatic_slug(body, identifier)
        if parse_uuid(base):  # a path would take it for an id
            base = f"{self.model.__kind__}-{base}"
        return await self.repository.claim_free_slug(base, identifier)

    async def record(self, entity: M, action: str, actor: Actor, comment: str | None, *, was_public: bool) -> None:
        """Keep the entity as it is now as a revision, and tell the mirrors and the audit log."""
        await self.revisions.keep(entity, Edit(action, actor.id, comment))
        if told := _TOLD.get((was_public, is_public(entity))):
            announce(self.session, PublicChange(self.model.__kind__, entity.id, entity.slug, told, entity.version))
        await audit.record(self.session, action, actor, kind=self.model.__kind__, subject=entity.id, comment=comment)

    async def save(self, entity: M, current: dict[str, Any], body: W, actor: Actor) -> bool:
        """Bring the row and its links from one write document to another; say whether that changed anything."""
        document = body.model_dump(mode="json", by_alias=True)
        document["slug"] = document["slug"] or self.following_slug(current, document)
        resolved = await self._resolve_new(current, document)
        changed = {key for key, value in document.items() if value != current[key]}
        if not changed:
            return False
        if "slug" in changed:
            await self.repository.claim_slug(document["slug"], entity.id)
        await self.before_write(changed)
        if lists := changed & writing.link_fields(self.model, self.write_schema):
            await self.session.refresh(entity, sorted(lists))
        writing.apply(entity, self.write_schema, document, changed, resolved)
        await self.touch(entity, actor)
        await self.after_write(entity, changed)
        return True

    async def touch(self, entity: M, actor: Actor) -> None:
        """Give a changed entity its next version."""
        self.advance(entity)
        entity.updated_at = func.clock_timestamp()
        entity.updated_by = actor.id
        await self.session.flush()

    def following_slug(self, current: dict[str, Any], document: dict[str, Any]) -> str:  # noqa: ARG002 - for overriders
        """Return the slug of a change that names none: the current one."""
        return str(current["slug"])

    async def _resolve_new(self, current: dict[str, Any], document: dict[str, Any]) -> Resolved:
        """Look up the references of the fields that differ as text; they may still turn out to be the same."""
        differing = {key for key, value in document.items() if value != current[key]}
        return await self._resolve(document, differing)

    async def _resolve(self, document: dict[str, Any], keys: set[str]) -> Resolved:
        found = list(mentions(document, self.write_schema, keys))
        resolved = await resolve(self.session, found)
        if any(mention.ref != mention.holder[mention.key] for mention in found):
            self.validate(document)  # by their slugs, two references may turn out to be one
        return resolved
