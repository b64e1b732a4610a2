"""Rules of articles."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import select

from fastapi_application.core.actor import Actor, sees_unpublished
from fastapi_application.core.errors import ForbiddenError, NotAuthenticatedError
from fastapi_application.crud import audit
from fastapi_application.crud.history.changes import PublicChange, announce
from fastapi_application.crud.history.documents import Json, referring_by_todays_slugs
from fastapi_application.crud.history.revisions import Edit
from fastapi_application.crud.service import EntityService, Note, is_public
from fastapi_application.encyclopedia.articles.models import DRAFT, IN_REVIEW, PUBLISHED, Article, ArticleTag
from fastapi_application.encyclopedia.articles.schemas import ArticleDetail, ArticleItem, ArticleWrite
from fastapi_application.encyclopedia.tags.models import Tag

if TYPE_CHECKING:
    import uuid

    from fastapi_application.crud.history.models import Revision
    from fastapi_application.crud.list_query import ListParams
    from fastapi_application.crud.pages import Page
    from fastapi_application.crud.repository import Document


class _OnlyTried(Exception):  # noqa: N818 - nothing has gone wrong
    """Takes a change back."""


class ArticleService(EntityService[Article, ArticleWrite]):
    """Articles: editors see every state, everybody else what is published.

    A change of a published article waits as a revision of its own, and the row keeps what the public reads. Editors see
    the change and work on it: its number is the version that their ETag names.
    """

    model = Article
    item_schema = ArticleItem
    detail_schema = ArticleDetail
    write_schema = ArticleWrite
    default_sort = "title"
    state_fields = ("status", "published_at", "archived_at")

    async def list(self, parameters: ListParams, viewer: Actor | None) -> Page:
        """Render a page of the list. Only editors may ask for other states than `published`.

        Raises:
            NotAuthenticatedError: an anonymous reader asks.
            ForbiddenError: a reader asks.

        """
        asked = set(getattr(parameters, "status") or [])  # noqa: B009 - a generated field
        if asked - {PUBLISHED} and not sees_unpublished(viewer):
            raise NotAuthenticatedError if viewer is None else ForbiddenError
        return await super().list(parameters, viewer)

    async def read(self, ref: str, viewer: Actor | None) -> Document:
        """Render an article: for editors with the change that waits."""
        document = await super().read(ref, viewer)
        if not sees_unpublished(viewer):
            return document
        review = orjson.loads(document.body)["review"]
        if review is None or review["pending_revision"] is None:
            return document
        return await self.history.overlay(document, await self._revision(document.id, review["pending_revision"]), viewer)

    async def current(self, entity: Article) -> dict[str, Any]:
        """Return the write document that an editor works on: the change that waits, where there is one."""
        if entity.pending_number is None:
            return await super().current(entity)
        pending = await self._revision(entity.id, entity.pending_number)
        return await referring_by_todays_slugs(self.session, pending.document, self.write_schema)

    async def store(self, entity: Article, current: dict[str, Any], body: ArticleWrite, actor: Actor, note: Note) -> None:
        """Save a change; that of a published article waits, unless the system itself makes it."""
        if entity.status == PUBLISHED and actor.id is not None:
            await self._propose(entity, current, body, actor, note)
        else:
            await super().store(entity, current, body, actor, note)

    async def record(self, entity: Article, action: str, actor: Actor, comment: str | None, *, was_public: bool) -> None:
        """Keep a revision. What becomes public, or ceases to be, also changes what the tags show."""
        await super().record(entity, action, actor, comment, was_public=was_public)
        if was_public != is_public(entity):
            tags = select(Tag.id, Tag.slug, Tag.version).join(ArticleTag, ArticleTag.tag_id == Tag.id)
            for identifier, slug, version in await self.session.execute(tags.where(ArticleTag.article_id == entity.id)):
                announce(self.session, PublicChange(Tag.__kind__, identifier, slug, "update", version))

    async def before_insert(self, entity: Article, actor: Actor) -> None:  # noqa: ARG002 - signature of the hook
        """Every article begins as a draft."""
        entity.status = DRAFT

    def advance(self, entity: Article) -> None:
        """Set the version. Nothing waits beside a new text, and what was scheduled was another one."""
        super().advance(entity)
        entity.pending_number = entity.pending_status = entity.publish_at = None

    # --- changes that wait --------------------------------------------------------------------------------------------

    async def _propose(self, entity: Article, current: Json, body: ArticleWrite, actor: Actor, note: Note) -> None:
        """Keep a change beside the published text."""
        body = body.model_copy(update={"slug": body.slug or current["slug"]})
        differs, document, state = await self._tried(entity, body, actor)
        before = await self._revision(entity.id, entity.current_version)
        if self.revisions.written(document) == self.revisions.written(before.document):
            return
        # A text that is again the published one has nothing to review.
        await self.wait(entity, Edit(note.action, actor.id, note.comment), document, state, IN_REVIEW if differs else DRAFT)
        await audit.record(self.session, note.action, actor, kind=self.model.__kind__, subject=entity.id, comment=note.comment)

    async def _tried(self, entity: Article, body: ArticleWrite, actor: Actor) -> tuple[bool, Json, Json]:
        """Make the change, look at it and take it back: whatever would forbid it is found now, not at its approval."""
        published = await self.repository.snapshot(entity.id, self.write_schema)
        with suppress(_OnlyTried):
            async with self.session.begin_nested():
                differs = await self.save(entity, published, body, actor)
                document, state = await self.revisions.rendered(entity.id)
                raise _OnlyTried
        await self.session.refresh(entity)
        return differs, document, state

    async def wait(self, entity: Article, edit: Edit, document: Json, state: Json, status: str) -> None:
        """Keep a revision beside the published text as the newest one."""
        number = entity.current_version + 1
        await self.revisions.keep_pending(entity, edit, number, document, state)
        entity.pending_number, entity.pending_status = number, status
        entity.publish_at = entity.rejection = None
        await self.session.flush()

    async def _revision(self, entity_id: uuid.UUID, number: int) -> Revision:
        revision = await self.revisions.find(entity_id, number)
        if revision is None:
            message = f"revision {number} of {entity_id} is not there"
            raise LookupError(message)
        return revision
