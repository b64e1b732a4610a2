"""Search and suggest."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import orjson

from fastapi_application.core.actor import Actor, sees_unpublished
from fastapi_application.core.errors import FieldError, ValidationFailedError
from fastapi_application.encyclopedia.pages.search.repository import MARK, UNMARK, SearchRepository, Terms
from fastapi_application.encyclopedia.pages.search.schemas import KINDS, MAX_DEPTH, SearchParams

if TYPE_CHECKING:
    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncSession

RENDERS = (*KINDS, "countries")
"""The kinds whose entries an answer depends on."""
API = "/api/v1"
MIN_CORRECTED, MAX_CORRECTED = 5, 60
MIN_TWICE_WRONG = 9
MAX_CORRECTED_WORDS = 6
FACETS = ("kind", "country", "decade", "category")


class SearchService:
    """Finds entries by what people call them."""

    def __init__(self, session: AsyncSession, viewer: Actor | None) -> None:
        """Bind the service to the session of its action; editors find drafts too."""
        self.repository = SearchRepository(session, KINDS, everything=sees_unpublished(viewer))

    async def search(self, parameters: SearchParams) -> bytes:
        """Render a page of matches.

        A question that nothing matches is asked again with its nearest spelling. Whether it is depends on the question
        alone, not on the filters, so that facets and totals speak of the same matches.

        Raises:
            ValidationFailedError: the page lies deeper than numbers go.

        """
        if parameters.page * parameters.size > MAX_DEPTH:
            detail = f"page × size is at most {MAX_DEPTH}."
            raise ValidationFailedError(errors=[FieldError("/query/page", "page_too_deep", detail)])
        asked = await self.repository.understand(parameters.q, parameters.country or [])
        corrected = None if await self.repository.exists(asked) else await self._correct(parameters.q)
        terms = corrected or asked
        offset = (parameters.page - 1) * parameters.size
        found = await self.repository.find(terms, parameters.filters(asked.country_ids), parameters.size, offset)
        items = await self._items(found["page"], terms)
        suggestions = [item["name"] for item in items[:3]] if corrected else []
        if not found["total"] and not corrected and asked.key:
            suggestions = await self.repository.neighbours(asked.key)
        return orjson.dumps(_page(parameters, terms, found, items, suggestions))

    async def suggest(self, q: str) -> bytes:
        """Render the best names that begin like this."""
        terms = await self.repository.understand(q, [])
        rows = await self.repository.suggest(terms.key) if terms.key else []
        items = [{"kind": row["kind"], "slug": row["slug"], "name": row["label"], "url": _url(row)} for row in rows]
        return orjson.dumps({"items": items})

    async def _items(self, page: list[Any], terms: Terms) -> list[dict[str, Any]]:
        rows = await self.repository.show([(kind, identifier, score) for kind, identifier, score in page], terms) if page else []
        return [_item(row, score) for row, (_, _, score) in zip(rows, page, strict=True)]

    async def _correct(self, q: str) -> Terms | None:
        """Return the terms of the nearest spelling that matches something: word by word, then as one name."""
        words = q.split()
        # A long question is no name; looking for every word of it would cost more than it finds.
        spelled = [await self._nearest_word(word) or word for word in words] if len(words) <= MAX_CORRECTED_WORDS else words
        for attempt in (" ".join(spelled), await self._nearest_key(q)):
            if attempt and attempt != q:
                terms = await self.repository.understand(attempt, [])
                if await self.repository.exists(terms):
                    return terms
        return None

    async def _nearest_word(self, word: str) -> str | None:
        terms = await self.repository.understand(word, [])
        return None if await self.repository.exists(terms) else await self._nearest(terms.key)

    async def _nearest_key(self, q: str) -> str | None:
        return await self._nearest((await self.repository.understand(q, [])).key)

    async def _nearest(self, key: str) -> str | None:
        if not MIN_CORRECTED <= len(key) <= MAX_CORRECTED:
            return None
        rows = await self.repository.nearest(key)
        return next((row["key"] for row in rows if _is_one_error(key, row["key"], row["distance"])), None)


def _is_one_error(asked: str, key: str, distance: int) -> bool:
    """One letter more, less or other, or two exchanged; a long name may have two errors."""
    return distance <= 1 or len(asked) >= MIN_TWICE_WRONG or sorted(asked) == sorted(key)


def _item(row: RowMapping, score: float) -> dict[str, Any]:
    return {
        "kind": row["kind"],
        "id": row["entity_id"],
        "slug": row["slug"],
        "name": row["label"],
        "summary": row["summary"],
        "url": _url(row),
        "score": round(score, 4),
        "highlight": {"name": _marked(row["name"]), "text": _marked(row["text"])},
    }


def _url(row: RowMapping) -> str:
    return f"{API}/{row['kind']}/{row['slug']}"


def _marked(text: str) -> str:
    """Escape a text, then mark the matches; two that touch are one."""
    joined = html.escape(text).replace(UNMARK + MARK, "")
    return joined.replace(MARK, "<mark>").replace(UNMARK, "</mark>")


def _page(parameters: SearchParams, terms: Terms, found: RowMapping, items: list[dict[str, Any]], suggestions: list[str]) -> dict[str, Any]:
    total, size = found["total"], parameters.size
    return {
        "items": items,
        "total": total,
        "total_exact": found["exact"],
        "page": parameters.page,
        "size": size,
        "pages": -(-total // size),
        "query": parameters.q,
        "normalised": terms.key,
        "facets": {name: [{"value": value, "count": count} for value, count in found[name]] for name in FACETS},
        "facets_exact": found["exact"],
        "suggestions": suggestions,
    }
