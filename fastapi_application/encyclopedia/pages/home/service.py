"""The first page: the same all day, unless an entry changes."""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import ColumnElement, Text, cast, func, select
from sqlalchemy.orm import aliased

from fastapi_application.accounts.models import User
from fastapi_application.crud.cache_tags import tags_of_kinds
from fastapi_application.crud.read_query import json_list, select_json
from fastapi_application.encyclopedia.articles.models import Article
from fastapi_application.encyclopedia.articles.schemas import ArticleItem
from fastapi_application.encyclopedia.facts.models import Fact
from fastapi_application.encyclopedia.facts.schemas import FactItem
from fastapi_application.encyclopedia.pages.statistics.service import RENDERS as COUNTED
from fastapi_application.encyclopedia.pages.statistics.service import StatisticsService

if TYPE_CHECKING:
    from pydantic import BaseModel
    from sqlalchemy.ext.asyncio import AsyncSession

RENDERS = tags_of_kinds(COUNTED) | {User.__tablename__}
"""The tags of the page. It also depends on the date."""
RECENT, FACTS = 6, 5


class HomeService:
    """What a reader sees first."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the service to the session of its action."""
        self.session = session

    async def home(self, day: str) -> bytes:
        """Render the article of the day, what was published last, some facts, and how much there is."""
        article, fact = aliased(Article), aliased(Fact)
        public = Article.is_public(article)
        pivot = uuid.UUID(hashlib.md5(day.encode(), usedforsecurity=False).hexdigest())
        # Ids are scattered: the first one behind a point that the day chooses, or behind the start, is anyone's.
        behind = await self._json(ArticleItem, article, (article.id,), 1, public, article.id >= pivot)
        featured = behind or await self._json(ArticleItem, article, (article.id,), 1, public)
        recent = await self._json(ArticleItem, article, (article.published_at.desc().nulls_last(), article.id), RECENT, public)
        facts = await self._json(FactItem, fact, _shuffled(fact, day), FACTS)
        page = {"date": day, "featured": next(iter(featured), None), "recent": recent, "facts": facts}
        return orjson.dumps({**page, "counts": await StatisticsService(self.session).counts()})

    async def _json(
        self, schema: type[BaseModel], entity: Any, order: tuple[Any, ...], limit: int, *where: ColumnElement[bool]
    ) -> list[Any]:
        # The few rows first: what an item shows is not built for those that are left out.
        rows = select(entity.id, func.row_number().over(order_by=order).label("n")).where(*where).order_by(*order).limit(limit).subquery()
        items = json_list(select(*select_json(schema, entity)).join(rows, rows.c.id == entity.id).order_by(rows.c.n))
        found: list[Any] = orjson.loads((await self.session.execute(select(cast(items, Text)))).scalar_one())
        return found


def _shuffled(entity: Any, day: str) -> tuple[ColumnElement[Any], ...]:
    """Order by what looks like chance and is the same all day."""
    return (func.md5(func.concat(entity.id, day)), entity.id)
