"""Queries over events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, func, select, tuple_

from fastapi_application.crud.list_query import MAX_DEPTH, entity_ids
from fastapi_application.encyclopedia.countries.models import Country
from fastapi_application.encyclopedia.pages.search.models import SearchDocument
from fastapi_application.encyclopedia.pages.timeline.models import TimelineEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncSession

MAX_ON_A_DAY = 500
_SAME = tuple_(TimelineEvent.kind, TimelineEvent.entity_id) == tuple_(SearchDocument.kind, SearchDocument.entity_id)
_ORDER = (TimelineEvent.earliest, TimelineEvent.latest, TimelineEvent.kind, TimelineEvent.entity_id, TimelineEvent.event)


def conditions(earliest: int | None, latest: int | None, kinds: list[str] | None, countries: list[str] | None) -> list[ColumnElement[bool]]:
    """Return what a timeline asks: events that may lie between two days, of some kinds and countries."""
    where: list[ColumnElement[bool]] = []
    if earliest is not None:
        where.append(TimelineEvent.latest >= earliest)
    if latest is not None:
        where.append(TimelineEvent.earliest <= latest)
    if kinds:
        where.append(TimelineEvent.kind.in_(kinds) | TimelineEvent.event.in_(kinds))
    if countries is not None:
        where.append(SearchDocument.country_ids.overlap(entity_ids(Country, countries)))
    return where


class TimelineRepository:
    """Events and the entries that they belong to."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the repository to a session; the transaction is the caller's."""
        self.session = session

    async def page(self, where: Sequence[ColumnElement[bool]], size: int, offset: int) -> Sequence[Row[Any]]:
        """Return events in their order."""
        return (await self.session.execute(_events(where).order_by(*_ORDER).limit(size).offset(offset))).all()

    async def count(self, where: Sequence[ColumnElement[bool]]) -> int:
        """Count events, up to one more than pages reach."""
        rows = _events(where).limit(MAX_DEPTH + 1).subquery()
        return (await self.session.execute(select(func.count()).select_from(rows))).scalar_one()

    async def on_day(self, month_day: str) -> Sequence[Row[Any]]:
        """Return the events of a day of the year."""
        return (await self.session.execute(_events([TimelineEvent.month_day == month_day]).order_by(*_ORDER).limit(MAX_ON_A_DAY))).all()


def _events(where: Sequence[ColumnElement[bool]]) -> Select[Any]:
    shown = (TimelineEvent.event, TimelineEvent.kind, SearchDocument.slug, SearchDocument.label, TimelineEvent.date_edtf)
    return select(*shown).join(SearchDocument, _SAME).where(*where)
