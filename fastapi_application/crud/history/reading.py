"""Reads the history of an entity, as far as the viewer may know of it."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import ColumnElement, Text, Uuid, column, func, select, table

from fastapi_application.core.actor import Actor, sees_unpublished
from fastapi_application.core.errors import FieldError, NotFoundError, ValidationFailedError
from fastapi_application.crud.history.diff import json_diff, text_diffs
from fastapi_application.crud.history.documents import Json, for_the_public, referring_by
from fastapi_application.crud.history.models import Revision
from fastapi_application.crud.history.revisions import CREATE
from fastapi_application.crud.history.schemas import RevisionActor, RevisionDetail, RevisionDiff, RevisionItem, TextPiece
from fastapi_application.crud.list_query import MAX_DEPTH
from fastapi_application.crud.pages import Page
from fastapi_application.crud.schemas import parse_uuid

if TYPE_CHECKING:
    from pydantic import BaseModel
    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.crud.history.revisions import Revisions
    from fastapi_application.crud.history.schemas import RevisionParams
    from fastapi_application.crud.repository import Document, Repository

# The accounts stand above this layer: only what a revision shows of them is known here.
_ACCOUNT = table("user", column("id", Uuid), column("display_name", Text))
_HEAD = (Revision.number, Revision.action, Revision.actor_id, _ACCOUNT.c.display_name, Revision.comment, Revision.at, Revision.is_live)


class HistoryReader:
    """Revisions of one kind. Methods run inside `run_crud_action`."""

    def __init__(self, repository: Repository[Any], revisions: Revisions) -> None:
        """Bind to the repository of the kind."""
        self.repository = repository
        self.revisions = revisions
        self.session: AsyncSession = repository.session
        self.write_schema: type[BaseModel] = revisions.shape.write_schema

    async def page(self, ref: str, parameters: RevisionParams, viewer: Actor | None) -> Page:
        """Render a page of revisions, the newest first.

        Raises:
            ValidationFailedError: the page lies too deep.

        """
        page, size = parameters.page, parameters.size
        if page * size > MAX_DEPTH:
            raise ValidationFailedError(errors=[FieldError("/query/page", "page_too_deep", f"page × size is at most {MAX_DEPTH}.")])
        visible = self._visible(await self._find(ref, viewer), viewer)
        total = await self.session.scalar(select(func.count()).where(*visible)) or 0
        rows = _heads().where(*visible).order_by(Revision.number.desc()).limit(size).offset((page - 1) * size)
        items = [_item(row) for row in await self.session.execute(rows)]
        pages = -(-total // size)
        shown = {"items": items, "total": total, "total_exact": True, "page": page, "size": size, "pages": pages}
        return Page(orjson.dumps(shown), has_next=page < pages)

    async def read(self, ref: str, number: int, viewer: Actor | None) -> bytes:
        """Render one revision with its snapshot."""
        entity_id = await self._find(ref, viewer)
        row = (
            await self.session.execute(_heads(Revision.document).where(*self._visible(entity_id, viewer), Revision.number == number))
        ).first()
        if row is None:
            raise NotFoundError
        (snapshot,) = await self._snapshots([row.document], viewer)
        return RevisionDetail(**_item(row), snapshot=snapshot).model_dump_json().encode()

    async def snapshots(self, ref: str, old: int, new: int, viewer: Actor | None) -> list[Json]:
        """Return the snapshots of two revisions."""
        entity_id = await self._find(ref, viewer)
        rows = select(Revision.number, Revision.document).where(*self._visible(entity_id, viewer), Revision.number.in_((old, new)))
        documents = dict((await self.session.execute(rows)).tuples().all())
        if not {old, new} <= documents.keys():
            raise NotFoundError
        return await self._snapshots([documents[old], documents[new]], viewer)

    async def document_at(self, current: Document, moment: datetime, viewer: Actor | None) -> Document:
        """Render an entity as it was at a moment; what others say of it is as it is today.

        Raises:
            NotFoundError: it was not there yet, or not public.

        """
        revision = await self.revisions.at(current.id, moment, everything=sees_unpublished(viewer))
        if revision is None:
            raise NotFoundError
        return await self.overlay(current, revision, viewer)

    async def overlay(self, current: Document, revision: Revision, viewer: Actor | None) -> Document:
        """Render an entity with what a revision of it says."""
        document = revision.document
        if not sees_unpublished(viewer):
            (document,) = await for_the_public(self.session, [document], self.write_schema)
        detail: Json = orjson.loads(current.body)
        # Who creates an entity has not changed it yet.
        actor = None if revision.actor_id is None or revision.action == CREATE else str(revision.actor_id)
        about = {"version": revision.number, "updated_at": _utc(revision.at), "updated_by": actor}
        then = {**document, **revision.state, **about}
        # A field that came later than the revision is as it is today.
        body = orjson.dumps({key: then.get(key, value) for key, value in detail.items()})
        return replace(current, version=revision.number, body=body)

    async def _find(self, ref: str, viewer: Actor | None) -> uuid.UUID:
        """Return the id of an entity whose history the viewer may read: editors also know what is gone, by its id."""
        try:
            return (await self.repository.identify(ref, viewer))[0]
        except NotFoundError:
            identifier = parse_uuid(ref)
            if identifier is None or not sees_unpublished(viewer):
                raise
            known = (Revision.entity_id == identifier, Revision.kind == self.repository.model.__kind__)
            if await self.session.scalar(select(Revision.number).where(*known).limit(1)) is None:
                raise
            return identifier

    def _visible(self, entity_id: uuid.UUID, viewer: Actor | None) -> list[ColumnElement[bool]]:
        conditions: list[ColumnElement[bool]] = [Revision.entity_id == entity_id]
        return conditions if sees_unpublished(viewer) else [*conditions, Revision.is_public.is_(True)]

    async def _snapshots(self, documents: list[Json], viewer: Actor | None) -> list[Json]:
        if not sees_unpublished(viewer):
            documents = await for_the_public(self.session, documents, self.write_schema)
        return [referring_by("slug", document, self.write_schema) for document in documents]


def _heads(*more: Any) -> Any:
    return select(*_HEAD, *more).select_from(Revision).outerjoin(_ACCOUNT, _ACCOUNT.c.id == Revision.actor_id)


def _item(row: Any) -> Json:
    actor = None if row.actor_id is None else RevisionActor(id=row.actor_id, display_name=row.display_name)
    item = RevisionItem(number=row.number, action=row.action, actor=actor, comment=row.comment, at=row.at, pending=not row.is_live)
    return item.model_dump(mode="json")


def render_diff(old: int, new: int, snapshots: list[Json], schema: type[BaseModel]) -> bytes:
    """Render what differs between two revisions. Long texts take a while: not on the loop."""
    before, after = snapshots
    text = {key: [TextPiece(op=op, text=piece) for op, piece in pieces] for key, pieces in text_diffs(before, after, schema).items()}
    diff = RevisionDiff(from_=old, to=new, patch=json_diff(before, after), text=text)
    return diff.model_dump_json(by_alias=True).encode()


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
