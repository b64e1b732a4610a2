"""A page of a list, rendered by PostgreSQL in one statement."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any

import orjson
from pydantic import BaseModel
from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Select,
    Text,
    Uuid,
    any_,
    cast,
    column,
    func,
    inspect,
    literal_column,
    select,
    table,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from fastapi_application.core.errors import FieldError, ValidationFailedError
from fastapi_application.crud.cache_tags import included_tags, tags_of_page
from fastapi_application.crud.counts import kept_count
from fastapi_application.crud.cursor import decode_cursor, encode_cursor
from fastapi_application.crud.list_query import (
    MAX_DEPTH,
    Filter,
    ListParams,
    SortKey,
    conditions,
    filters_of,
    keyset,
    kinds_looked_up,
    matching_ids,
    parse_sort,
    sort_keys,
)
from fastapi_application.crud.models import EntityModel
from fastapi_application.crud.read_query import as_text, json_list, select_json, utc_text

PAGE = "page"
FEW = 2000
"""So many rows are fetched and sorted; of more, the first are found by walking through all in their order."""


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
    entity: Any
    schema: type[BaseModel]
    parameters: ListParams
    visible: Sequence[ColumnElement[bool]]
    everything: bool

    @property
    def _known_filters(self) -> dict[str, Filter]:
        return filters_of(self.model, self.schema, everything=self.everything)

    @cached_property
    def filters(self) -> list[ColumnElement[bool]]:
        """What the client asked for."""
        return conditions(self.entity, self._known_filters, self.parameters)

    @cached_property
    def keys(self) -> list[SortKey]:
        """The total order of the list."""
        return parse_sort(self.parameters.sort, sort_keys(self.model, self.schema))  # type: ignore[attr-defined] # generated

    async def numbered(self, session: AsyncSession) -> Page:
        """Render page `page` with the total: exact without filters, else counted up to the greatest depth.

        Raises:
            ValidationFailedError: the page lies deeper than numbers go.

        """
        page, size = self.parameters.page, self.parameters.size
        if page * size > MAX_DEPTH:
            detail = f"page × size is at most {MAX_DEPTH}; use `cursor` to go further."
            raise ValidationFailedError(errors=[FieldError("/query/page", "page_too_deep", detail)])
        where = [*self.filters, *self.visible]
        raw = self.parameters.to_raw_params().as_limit_offset()
        matching = self._matching(where, MAX_DEPTH + 1)
        page_rows, items_column = self._items(self._rows(where, matching, raw.limit, raw.offset))
        total_column = self._total(where) if matching is None else _count(matching)
        items, total = (await session.execute(select(items_column, total_column).add_cte(page_rows))).one()
        exact = not self.filters or total <= MAX_DEPTH
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
        size, where = self.parameters.size, [*self.filters, *self.visible]
        if self.parameters.cursor:
            values = self._typed(decode_cursor(self.parameters.cursor, self._scope))
            where.append(keyset(self.entity, self.keys, values))
        # One row more than the page tells whether there is another page.
        found = self._rows(where, self._matching(where, FEW + 1), size + 1).cte("found")
        last = select(*self._key_values(found)).where(found.c.n == size)
        page_rows, items_column = self._items(select(found).where(found.c.n <= size))
        columns = (items_column, _count(found), cast(json_list(last), Text))
        items, count, values = (await session.execute(select(*columns).add_cte(page_rows))).one()
        cursor = encode_cursor(list(orjson.loads(values)[0].values()), self._scope) if count > size else None
        return self._page(_envelope(items, {"size": size, "next_cursor": cursor}), has_next=cursor is not None, next_cursor=cursor)

    def _page(self, body: bytes, *, has_next: bool, next_cursor: str | None = None) -> Page:
        def tags() -> frozenset[str]:
            others = kinds_looked_up(self._known_filters, self.parameters) | included_tags(self.model, self._shown("include"))
            return tags_of_page(self.model, self.schema, body, others)

        return Page(body, has_next, tags, next_cursor)

    @property
    def _scope(self) -> str:
        """What a cursor is bound to: kind, order and filters."""
        given = self.parameters.model_dump_json(exclude={"cursor", "size", "page", "fields", "include"}, exclude_none=True)
        return f"{self.model.__kind__}?{given}"

    def _matching(self, where: list[ColumnElement[bool]], limit: int) -> CTE | None:
        """The ids of what a client asked for, in no order and up to a number; None where that is everything."""
        if not self.filters:
            return None
        return matching_ids(self.entity, self._known_filters, self.parameters, where).limit(limit).cte("matching")

    def _rows(self, where: list[ColumnElement[bool]], matching: CTE | None, limit: int | None, offset: int | None = None) -> Select[Any]:
        """The ids of a page with their numbers, and with the values that they are ordered by.

        Numbered is what the page has, not all that matches: PostgreSQL would sort the whole of it.
        """
        columns = [getattr(self.entity, key.attribute).label(f"k{index}") for index, key in enumerate(self.keys)]
        ordered = select(self.entity.id, *columns).order_by(*(key.order(self.entity) for key in self.keys)).limit(limit).offset(offset)
        if matching is None:
            page = ordered.where(*where).subquery()
        else:
            # Of many, the first are found by walking through all in their order. One plan serves all values,
            # and PostgreSQL cannot tell before how many there will be.
            is_few = _count(matching) <= FEW
            few = ordered.where(self.entity.id == any_(func.array(select(*matching.c).scalar_subquery())), is_few)
            page = union_all(few, ordered.where(*where, ~is_few)).subquery()
        order = [key.ordered(page.c[f"k{index}"]) for index, key in enumerate(self.keys)]
        return select(page, func.row_number().over(order_by=order).label("n"))

    def _items(self, rows: Select[Any]) -> tuple[CTE, ColumnElement[str]]:
        """Return the rows as a common table expression, which the SELECT has to get, and the column of their items."""
        sql = _items_sql(self.model, self.schema, self._shown("fields"), self._shown("include"), everything=self.everything)
        return rows.cte(PAGE), literal_column(sql, Text)

    def _shown(self, parameter: str) -> frozenset[str]:
        return frozenset(getattr(self.parameters, parameter, None) or ())

    def _total(self, where: list[ColumnElement[bool]]) -> ColumnElement[int]:
        """The number of all, as far as they are visible."""
        exact = select(func.count()).select_from(self.entity).where(*where).scalar_subquery()
        if self.visible and not self.model.is_public_by_itself:
            return exact
        return kept_count(self.model, exact, public=bool(self.visible))

    def _key_values(self, rows: Any) -> list[ColumnElement[Any]]:
        """The sort values as JSON that reads back to the same values."""
        columns = [rows.c[f"k{index}"] for index in range(len(self.keys))]
        return [(utc_text(column) if column.type.python_type is datetime else column).label(column.key) for column in columns]

    def _typed(self, values: list[Any]) -> list[Any]:
        columns = [inspect(self.model).column_attrs[key.attribute].columns[0] for key in self.keys]
        return [_from_json(value, column.type.python_type) for value, column in zip(values, columns, strict=True)]


@lru_cache(maxsize=256)
def _items_sql(
    model: type[EntityModel], schema: type[BaseModel], only: frozenset[str], include: frozenset[str], *, everything: bool
) -> str:
    """Return the expression that renders the items of the rows in `page`, as text: SQLAlchemy would walk through it at each use."""
    entity, rows = aliased(model), table(PAGE, column("id", Uuid), column("n", Integer))
    columns = select_json(schema, entity, everything=everything, only=only, include=include)
    items = cast(json_list(select(*columns).select_from(entity).join(rows, rows.c.id == entity.id).order_by(rows.c.n)), Text)
    return as_text(items)


def _count(rows: CTE) -> ColumnElement[int]:
    return select(func.count()).select_from(rows).scalar_subquery()


def _from_json(value: Any, python_type: type) -> Any:
    if value is None:
        return None
    if python_type is datetime:
        return datetime.fromisoformat(value)
    return uuid.UUID(value) if python_type is uuid.UUID else value


def _envelope(items: str, members: dict[str, Any]) -> bytes:
    return b'{"items":' + items.encode() + b"," + orjson.dumps(members)[1:]
