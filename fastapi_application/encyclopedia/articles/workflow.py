"""The way of a text to the public: draft → in_review → published → archived."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import func, select

from fastapi_application.core.actor import SYSTEM, Actor, Role
from fastapi_application.core.errors import AppError, ForbiddenError, StateConflictError
from fastapi_application.crud import audit
from fastapi_application.crud.action import run_crud_action
from fastapi_application.crud.history.models import Revision
from fastapi_application.crud.history.revisions import Edit
from fastapi_application.crud.service import is_public
from fastapi_application.encyclopedia.articles.models import ARCHIVED, DRAFT, IN_REVIEW, PUBLISHED, Article
from fastapi_application.encyclopedia.articles.service import ArticleService
from fastapi_application.jobs.registry import JobContext, periodic

if TYPE_CHECKING:
    import uuid
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

    from fastapi_application.crud.repository import Document

SUBMIT, APPROVE, REJECT, SCHEDULE = "submit", "approve", "reject", "schedule"
PUBLISH, UNPUBLISH, ARCHIVE = "publish", "unpublish", "archive"

PUBLISHING_EVERY_S = 5

_logger = structlog.get_logger(__name__)


class ArticleWorkflow(ArticleService):
    """The steps. Each is a revision and an entry of the audit log."""

    async def submit(self, ref: str, if_match: frozenset[str], actor: Actor, comment: str | None) -> Document:
        """Ask for a review."""
        entity = await self.locked(ref, if_match, actor)
        if entity.pending_status == DRAFT:
            await self._step_beside(entity, Edit(SUBMIT, actor.id, comment), actor, IN_REVIEW)
        elif entity.pending_status is None:
            _require(entity.status in (DRAFT, ARCHIVED))
            entity.rejection = entity.archived_at = None
            await self._step(entity, SUBMIT, actor, comment, IN_REVIEW)
        return await self.read(str(entity.id), actor)

    async def approve(self, ref: str, if_match: frozenset[str], actor: Actor, comment: str | None) -> Document:
        """Publish what waits for review.

        Raises:
            ForbiddenError: it is the actor's own change.
            StateConflictError: nothing waits, or it no longer fits what it refers to.

        """
        entity = await self.locked(ref, if_match, actor)
        await self._refuse_own(entity, actor)
        _require(IN_REVIEW in (entity.status, entity.pending_status))
        await self._publish(entity, APPROVE, actor, comment)
        return await self.read(str(entity.id), actor)

    async def reject(self, ref: str, if_match: frozenset[str], reason: str, actor: Actor, comment: str | None) -> Document:
        """Send back what waits for review. The text is kept."""
        entity = await self.locked(ref, if_match, actor)
        await self._refuse_own(entity, actor)
        _require(IN_REVIEW in (entity.status, entity.pending_status))
        await self._send_back(entity, reason, actor, comment)
        return await self.read(str(entity.id), actor)

    async def schedule(self, ref: str, if_match: frozenset[str], publish_at: datetime, actor: Actor, comment: str | None) -> Document:
        """Approve what waits for review, from a time on; administrators schedule any text that is not public."""
        entity = await self.locked(ref, if_match, actor)
        await self._refuse_own(entity, actor)
        is_free = actor.has_role(Role.ADMINISTRATOR) and (entity.status != PUBLISHED or entity.pending_status is not None)
        _require(IN_REVIEW in (entity.status, entity.pending_status) or is_free)
        if entity.pending_status is not None:
            await self._step_beside(entity, Edit(SCHEDULE, actor.id, comment), actor, IN_REVIEW, publish_at=publish_at)
        else:
            await self._step(entity, SCHEDULE, actor, comment, entity.status, publish_at=publish_at)
        return await self.read(str(entity.id), actor)

    async def publish(self, ref: str, if_match: frozenset[str], actor: Actor, comment: str | None) -> Document:
        """Publish an article from any state, with the change that waits. One that is published stays as it is."""
        entity = await self.locked(ref, if_match, actor)
        if entity.status != PUBLISHED or entity.pending_status is not None:
            await self._publish(entity, PUBLISH, actor, comment)
        return await self.read(str(entity.id), actor)

    async def unpublish(self, ref: str, if_match: frozenset[str], actor: Actor, comment: str | None) -> Document:
        """Make a published article a draft again, with the change that waits."""
        entity = await self.locked(ref, if_match, actor)
        _require(entity.status == PUBLISHED)
        await self._take_back(entity, UNPUBLISH, actor, comment, DRAFT)
        return await self.read(str(entity.id), actor)

    async def archive(self, ref: str, if_match: frozenset[str], actor: Actor, comment: str | None) -> Document:
        """Take an article out of the encyclopedia, and keep it."""
        entity = await self.locked(ref, if_match, actor)
        _require(entity.status != ARCHIVED)
        entity.archived_at = func.clock_timestamp()
        await self._take_back(entity, ARCHIVE, actor, comment, ARCHIVED)
        return await self.read(str(entity.id), actor)

    # --- the clock ----------------------------------------------------------------------------------------------------

    async def publish_next_due(self) -> uuid.UUID | None:
        """Publish one article whose time has come, in the name of the account that scheduled it; return its id."""
        due = select(Article).where(Article.publish_at <= func.clock_timestamp()).order_by(Article.publish_at, Article.id).limit(1)
        entity = await self.session.scalar(due.with_for_update(skip_locked=True))
        if entity is None:
            return None
        identifier = entity.id
        try:
            async with self.session.begin_nested():
                await self._publish(entity, PUBLISH, await self._scheduler(identifier), "Scheduled.")
        except AppError as error:
            await _logger.awarning("scheduled_article_not_published", article=str(identifier), code=error.code)
            await self.session.refresh(entity)
            await self._send_back(entity, error.detail, SYSTEM, None)
        return identifier

    async def _scheduler(self, entity_id: uuid.UUID) -> Actor:
        steps = select(Revision.actor_id).where(Revision.entity_id == entity_id, Revision.action == SCHEDULE)
        actor_id = await self.session.scalar(steps.order_by(Revision.number.desc()).limit(1))
        return Actor(actor_id, Role.ADMINISTRATOR)

    # --- steps --------------------------------------------------------------------------------------------------------

    async def _publish(self, entity: Article, action: str, actor: Actor, comment: str | None) -> None:
        entity.published_at = func.coalesce(entity.published_at, func.clock_timestamp())
        entity.archived_at = entity.rejection = None
        was_public, entity.status = is_public(entity), PUBLISHED
        if not await self._adopt(entity, actor):
            await self.touch(entity, actor)
        await self.record(entity, action, actor, comment, was_public=was_public)

    async def _adopt(self, entity: Article, actor: Actor) -> bool:
        """Bring the row to the change that waits; say whether the row has been saved."""
        if entity.pending_number is None:
            return False
        pending = await self._revision(entity.id, entity.pending_number)
        try:
            body = self.validate(self.revisions.written(pending.document))
            return await self.save(entity, await self.repository.snapshot(entity.id, self.write_schema), body, actor)
        except AppError as error:
            detail = "The change that waits no longer fits: what it refers to is gone, or its slug is taken."
            raise StateConflictError(detail, errors=error.errors) from None

    async def _take_back(self, entity: Article, action: str, actor: Actor, comment: str | None, status: str) -> None:
        """Hide an article at once. A change that waits becomes its text, unless it no longer fits: then it stays in the history."""
        was_public, entity.status = is_public(entity), status
        await self.session.flush()
        saved = False
        try:
            async with self.session.begin_nested():
                saved = await self._adopt(entity, actor)
        except StateConflictError:
            await self.session.refresh(entity)
        if not saved:
            await self.touch(entity, actor)
        await self.record(entity, action, actor, comment, was_public=was_public)

    async def _send_back(self, entity: Article, reason: str, actor: Actor, comment: str | None) -> None:
        if entity.pending_status is not None:
            await self._step_beside(entity, Edit(REJECT, actor.id, comment or reason), actor, DRAFT, reason=reason)
        else:
            entity.rejection = reason
            await self._step(entity, REJECT, actor, comment or reason, DRAFT)

    async def _step(
        self, entity: Article, action: str, actor: Actor, comment: str | None, status: str, *, publish_at: datetime | None = None
    ) -> None:
        """Make a step of an article that is not public."""
        entity.status = status
        await self.touch(entity, actor)
        entity.publish_at = publish_at
        await self.session.flush()
        await self.record(entity, action, actor, comment, was_public=False)

    async def _step_beside(
        self,
        entity: Article,
        edit: Edit,
        actor: Actor,
        status: str,
        *,
        publish_at: datetime | None = None,
        reason: str | None = None,
    ) -> None:
        """Make a step of a change that waits beside a published text."""
        before = await self._revision(entity.id, entity.current_version)
        await self.wait(entity, edit, before.document, before.state, status)
        entity.publish_at, entity.rejection = publish_at, reason
        await self.session.flush()
        await audit.record(self.session, edit.action, actor, kind=self.model.__kind__, subject=entity.id, comment=edit.comment)

    async def _refuse_own(self, entity: Article, actor: Actor) -> None:
        """Another pair of eyes.

        Raises:
            ForbiddenError: the actor wrote what waits, and is no administrator.

        """
        if not actor.has_role(Role.ADMINISTRATOR) and actor.id in await self.revisions.authors_since_published(entity.id):
            raise ForbiddenError("Somebody else must review your own change.")


def _require(condition: bool) -> None:
    """Check the state of an article.

    Raises:
        StateConflictError: the step does not start there.

    """
    if not condition:
        raise StateConflictError


async def publish_due(session_factory: async_sessionmaker[AsyncSession]) -> int:
    """Publish every article whose time has come, each in a transaction of its own; return how many were looked at."""
    count = 0
    while True:
        async with session_factory() as session:
            if await run_crud_action(session, ArticleWorkflow(session).publish_next_due) is None:
                return count
        count += 1


@periodic("publish_due_articles", every_s=PUBLISHING_EVERY_S)
async def publish_due_articles(context: JobContext, _payload: Mapping[str, Any]) -> None:
    """Publish what is due, in sessions of its own: one article that cannot be published does not hold up the others."""
    await publish_due(context.sessions())
