"""What sitemap and feeds are made of: only what everybody sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Label, Row, Select, Text, cast, func, literal, select, union_all
from sqlalchemy.orm import aliased

from fastapi_application.accounts.models import User
from fastapi_application.crud.counts import public_count
from fastapi_application.crud.history.models import Change
from fastapi_application.crud.models import EntityModel, all_kinds, model_of
from fastapi_application.crud.read_query import utc_text
from fastapi_application.encyclopedia.articles.models import Article

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

SITEMAP_KINDS = ("aircraft", "articles", "countries", "design-bureaus", "designers", "engines", "manufacturers", "tags")
FEED_RENDERS = ("articles", User.__tablename__)
"""What the feed of articles depends on."""
PART_SIZE = 10_000
FEED_SIZE = 50
LATEST_CHANGES = 500
"""Of so many changes the feed shows the entries: one that changes all day is one entry."""


class OutsideService:
    """Lists of addresses."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the service to the session of its action."""
        self.session = session

    async def parts(self) -> Sequence[Row[tuple[str, int, str | None]]]:
        """Return each kind with the number of its entries and the time of its last change."""
        kinds = {kind: model_of(kind) for kind in SITEMAP_KINDS}
        queries = [
            select(literal(kind).label("kind"), public_count(model), _public(model, last_change(kind)).scalar_subquery())
            for kind, model in kinds.items()
        ]
        return (await self.session.execute(union_all(*queries))).all()

    async def addresses(self, kind: str, number: int) -> Sequence[Row[tuple[str, str]]]:
        """Return slugs and times of the last change of one part of a kind; parts are counted from 1."""
        model = all_kinds()[kind]
        query = _public(model, model.slug.label("slug"), utc_text(model.updated_at).label("updated_at"))
        rows = query.order_by(model.id).limit(PART_SIZE).offset((number - 1) * PART_SIZE)
        return (await self.session.execute(rows)).all()

    async def articles(self) -> Sequence[Row[Any]]:
        """Return the articles that were published last."""
        author = aliased(User)
        columns = (Article.slug, cast(Article.id, Text).label("id"), Article.title, Article.summary, Article.language, Article.category)
        times = (utc_text(Article.published_at).label("published_at"), utc_text(Article.updated_at).label("updated_at"))
        query = select(*columns, *times, author.display_name.label("author")).join(author, author.id == Article.created_by, isouter=True)
        rows = query.where(Article.is_public(Article)).order_by(Article.published_at.desc().nulls_last(), Article.id).limit(FEED_SIZE)
        return (await self.session.execute(rows)).all()

    async def changes(self) -> Sequence[Row[Any]]:
        """Return what was changed last and is still there for everybody, each entry once."""
        latest = select(Change).order_by(Change.seq.desc()).limit(LATEST_CHANGES).subquery()
        newest = select(latest).distinct(latest.c.entity_id).order_by(latest.c.entity_id, latest.c.seq.desc()).cte()
        shown = union_all(*(_changed(kind, model, newest) for kind, model in all_kinds().items())).subquery()
        return (await self.session.execute(select(shown).order_by(shown.c.seq.desc()).limit(FEED_SIZE))).all()


def last_change(kind: str) -> Label[str]:
    """Return when an entry of a kind changed last."""
    return utc_text(func.max(model_of(kind).updated_at)).label("updated_at")


def _changed(kind: str, model: type[EntityModel], changes: Any) -> Select[Any]:
    what = (changes.c.seq, changes.c.action, utc_text(changes.c.at).label("updated_at"), literal(kind).label("kind"))
    entry = (cast(model.id, Text).label("id"), model.slug, getattr(model, model.__label__).label("title"))
    return _public(model, *what, *entry).join(changes, changes.c.entity_id == model.id)


def _public(model: type[EntityModel], *columns: Any) -> Select[Any]:
    condition = model.is_public(model)
    query = select(*columns).select_from(model)
    return query if condition is None else query.where(condition)
