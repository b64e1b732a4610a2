"""Rules of articles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func

from fastapi_application.core.actor import Actor, sees_unpublished
from fastapi_application.core.errors import ForbiddenError, NotAuthenticatedError
from fastapi_application.crud.service import EntityService
from fastapi_application.encyclopedia.articles.models import PUBLISHED, Article
from fastapi_application.encyclopedia.articles.schemas import ArticleDetail, ArticleItem, ArticleWrite

if TYPE_CHECKING:
    from fastapi_application.crud.list_query import ListParams
    from fastapi_application.crud.pages import Page
    from fastapi_application.crud.repository import Document

DRAFT = "draft"


class ArticleService(EntityService[Article, ArticleWrite]):
    """Articles: editors see every state, everybody else what is published."""

    model = Article
    item_schema = ArticleItem
    detail_schema = ArticleDetail
    write_schema = ArticleWrite
    default_sort = "title"

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

    async def before_insert(self, entity: Article, actor: Actor) -> None:  # noqa: ARG002 - signature of the hook
        """Every article begins as a draft."""
        entity.status = DRAFT

    async def publish(self, ref: str, if_match: frozenset[str], actor: Actor) -> Document:
        """Publish an article from any state. One that is published stays as it is."""
        entity = await self.repository.lock(ref)
        await self.check_version(entity, if_match, actor)
        if entity.status != PUBLISHED:
            entity.status = PUBLISHED
            entity.published_at = func.coalesce(entity.published_at, func.clock_timestamp())
            entity.archived_at = None
            entity.updated_at = func.clock_timestamp()
            entity.updated_by = actor.id
            await self.session.flush()
        return await self.read(str(entity.id), actor)
