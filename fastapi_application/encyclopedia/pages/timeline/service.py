"""Timeline and on this day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from fastapi_application.core.dates import parse_edtf
from fastapi_application.core.errors import FieldError, ValidationFailedError
from fastapi_application.crud.list_query import MAX_DEPTH
from fastapi_application.encyclopedia.pages.timeline.repository import TimelineRepository, conditions

if TYPE_CHECKING:
    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.encyclopedia.pages.timeline.schemas import TimelineParams

RENDERS = ("aircraft", "designers", "design-bureaus", "manufacturers", "engines", "countries")
"""The kinds whose entries an answer depends on; on this day, without a date, also on the date."""
_QUALIFIERS = "?~%"
_SEASONS = {"21", "22", "23", "24"}
_BY_LENGTH = {10: "day", 7: "month", 4: "year"}


class TimelineService:
    """What happened when."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the service to the session of its action."""
        self.repository = TimelineRepository(session)

    async def timeline(self, parameters: TimelineParams) -> bytes:
        """Render a page of events.

        Raises:
            ValidationFailedError: the page lies deeper than numbers go.

        """
        page, size = parameters.page, parameters.size
        if page * size > MAX_DEPTH:
            detail = f"page × size is at most {MAX_DEPTH}."
            raise ValidationFailedError(errors=[FieldError("/query/page", "page_too_deep", detail)])
        earliest = parse_edtf(parameters.from_).earliest if parameters.from_ else None
        latest = parse_edtf(parameters.to).latest if parameters.to else None
        where = conditions(earliest, latest, parameters.kind, parameters.country)
        rows, total = await self.repository.page(where, size, (page - 1) * size), await self.repository.count(where)
        shown = min(total, MAX_DEPTH)
        tail = {"total": shown, "total_exact": total <= MAX_DEPTH, "page": page, "size": size, "pages": -(-shown // size)}
        return orjson.dumps({"items": [_item(row) for row in rows], **tail})

    async def on_this_day(self, month_day: str) -> bytes:
        """Render the events whose day is known and is this one."""
        rows = await self.repository.on_day(month_day)
        return orjson.dumps({"date": month_day, "items": [_item(row) for row in rows]})


def _item(row: Row[Any]) -> dict[str, Any]:
    event, kind, slug, label, written = row
    return {
        "event": event,
        "kind": kind,
        "slug": slug,
        "name": label,
        "url": f"/api/v1/{kind}/{slug}",
        "date": written,
        "precision": precision(written),
        "certain": not set(written) & set(_QUALIFIERS),
    }


def precision(written: str) -> str:
    """Say how precise an EDTF date is."""
    if "/" in written:
        return "interval"
    plain = written.rstrip(_QUALIFIERS)
    if "X" in plain:
        if plain[4:]:
            return "year" if plain[5:7] == "XX" else "month"
        return "century" if plain.endswith("XX") else "decade"
    return "season" if plain[5:] in _SEASONS else _BY_LENGTH[len(plain)]
