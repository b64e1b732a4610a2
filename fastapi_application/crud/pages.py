"""A page of a list, rendered by PostgreSQL in one statement."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import orjson
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from fastapi_application.core.errors import FieldError, ValidationFailedError
from fastapi_application.crud.cache_tags import included_tags, tags_of_page
from fastapi_application.crud.cursor import decode_cursor, encode_cursor
from fastapi_application.crud.list_query import (
    MAX_DEPTH,
    Filter,
    ListParams,
    filters_of,
    given_filters,
)
from fastapi_application.crud.models import EntityModel
from fastapi_application.crud.order import SortKey
from fastapi_application.crud.page_statement import DEPTHS, Form, keys_of, statement_of, type_of


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list as a client gets it, and what its Link header needs."""

    body: bytes
    has_next: bool
    tags: Callable[[], frozenset[str]] | None = None
    """What the read cache ends it by; None: it is not kept."""
    next_cursor: str | None = None


@dataclass(frozen=True)
class PageQuery:
    """The query behind one page."""

    model: type[EntityModel]
    schema: type[BaseModel]
    parameters: ListParams
    everything: bool

    @cached_property
    def given(self) -> dict[str, tuple[Filter, Any]]:
        """What the client asked for."""
        return given_filters(filters_of(self.model, self.schema, everything=self.everything), self.parameters)

    @cached_property
    def keys(self) -> list[SortKey]:
        """The total order of the list."""
        return keys_of(self.model, self.schema, tuple(self.parameters.sort))  # type: ignore[attr-defined] # generated

    async def numbered(self, session: AsyncSession) -> Page:
        """Render page `page` with the total: exact without filters, else counted up to the greatest depth.

        Raises:
            ValidationFailedError: the page lies deeper than numbers go.

        """
        page, size = self.parameters.page, self.parameters.size
        if page * size > MAX_DEPTH:
            detail = f"page × size is at most {MAX_DEPTH}; use `cursor` to go further."
            raise ValidationFailedError(errors=[FieldError("/query/page", "page_too_deep", detail)])
        values = {**self._values, "size": size, "offset": (page - 1) * size}
        depth = next(depth for depth in DEPTHS if page * size <= depth)
        form = self._form(depth, None)
        items, total = await statement_of(form).run(session, values)
        exact = not form.is_filtered or total <= MAX_DEPTH
        shown = total if exact else MAX_DEPTH
        pages = -(-shown // size)
        tail = {"total": shown, "total_exact": exact, "page": page, "size": size, "pages": pages}
        return self._page(_envelope(items, tail), has_next=page < pages and (page + 1) * size <= MAX_DEPTH)

    async def after_cursor(self, session: AsyncSession) -> Page:
        """Render what follows a cursor: rows that come or go meanwhile move no other row.

        Raises:
            ValidationFailedError: the cursor is not one of this query, or a page is named as well.

        """
        if "page" in self.parameters.model_fields_set:
            detail = "Use either `page` or `cursor`."
            raise ValidationFailedError(errors=[FieldError("/query/cursor", "cursor_with_page", detail)])
        size = self.parameters.size
        position = self._typed(decode_cursor(self.parameters.cursor, self._scope)) if self.parameters.cursor else []
        # One row more than the page tells whether there is another page.
        values = {**self._values, "size": size, "limit": size + 1, **{f"after.{index}": value for index, value in enumerate(position)}}
        form = self._form(DEPTHS[0] + 1, tuple(value is None for value in position))
        items, count, last = await statement_of(form).run(session, values)
        cursor = encode_cursor(list(orjson.loads(last)[0].values()), self._scope) if count > size else None
        return self._page(_envelope(items, {"size": size, "next_cursor": cursor}), has_next=cursor is not None, next_cursor=cursor)

    def _page(self, body: bytes, *, has_next: bool, next_cursor: str | None = None) -> Page:
        def tags() -> frozenset[str]:
            looked_up = {spec.kind for spec, _ in self.given.values() if spec.kind is not None}
            return tags_of_page(self.model, self.schema, body, looked_up | included_tags(self.model, self._shown("include")))

        return Page(body, has_next, tags, next_cursor)

    def _form(self, depth: int, after: tuple[bool, ...] | None) -> Form:
        given = tuple((name, spec.form(value, self.parameters)) for name, (spec, value) in self.given.items() if spec.condition is not None)
        sort = tuple(self.parameters.sort)  # type: ignore[attr-defined] # generated
        has_ids, only, include = self.parameters.ids is not None, self._shown("fields"), self._shown("include")
        return Form(self.model, self.schema, self.everything, given, has_ids, sort, only, include, depth, after)

    @property
    def _values(self) -> dict[str, Any]:
        values = {f"{name}.{part}": one for name, (spec, value) in self.given.items() for part, one in spec.values(value).items()}
        return {**values, "ids": self.parameters.ids}

    @property
    def _scope(self) -> str:
        """What a cursor is bound to: kind, order and filters."""
        given = self.parameters.model_dump_json(exclude={"cursor", "size", "page", "fields", "include"}, exclude_none=True)
        return f"{self.model.__kind__}?{given}"

    def _shown(self, parameter: str) -> frozenset[str]:
        return frozenset(getattr(self.parameters, parameter, None) or ())

    def _typed(self, values: list[Any]) -> list[Any]:
        return [_from_json(value, type_of(self.model, key).python_type) for value, key in zip(values, self.keys, strict=True)]


def _from_json(value: Any, python_type: type) -> Any:
    if value is None:
        return None
    if python_type is datetime:
        return datetime.fromisoformat(value)
    return uuid.UUID(value) if python_type is uuid.UUID else value


def _envelope(items: str, members: dict[str, Any]) -> bytes:
    return b'{"items":' + items.encode() + b"," + orjson.dumps(members)[1:]
