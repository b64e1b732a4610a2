"""A page of a list, rendered by PostgreSQL in one statement."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, cached_property, lru_cache
from typing import Any

import orjson
from pydantic import BaseModel
from sqlalchemy import (
    CTE,
    BigInteger,
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
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlalchemy.types import TypeEngine

from fastapi_application.core.errors import FieldError, ValidationFailedError
from fastapi_application.crud.cache_tags import included_tags, tags_of_page
from fastapi_application.crud.counts import kept_count, kept_group_count
from fastapi_application.crud.cursor import decode_cursor, encode_cursor
from fastapi_application.crud.list_query import (
    MAX_DEPTH,
    Asked,
    Filter,
    LinkTo,
    ListParams,
    Placeholders,
    entity_id,
    filters_of,
    given_filters,
)
from fastapi_application.crud.models import EntityModel
from fastapi_application.crud.order import SortKey, keyset, parse_sort, sort_keys
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


@dataclass(frozen=True, slots=True)
class _Form:
    """What decides the text of the statement behind a page."""

    model: type[EntityModel]
    schema: type[BaseModel]
    everything: bool
    given: tuple[tuple[str, Any], ...]
    """The filters that have a value, each with the form of that."""
    has_ids: bool
    sort: tuple[str, ...]
    only: frozenset[str]
    include: frozenset[str]
    after: tuple[bool, ...] | None
    """None for a numbered page; for one behind a cursor, which of the values there are null, or nothing at the start."""


@dataclass(frozen=True, slots=True)
class _Statement:
    text: str
    names: tuple[str, ...]
    """Of its parameters."""

    async def run(self, session: AsyncSession, values: dict[str, Any]) -> Any:
        """Return the one row."""
        parameters = tuple(values[name] for name in self.names)
        return (await (await session.connection()).exec_driver_sql(self.text, parameters)).one()


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
        return _keys(self.model, self.schema, tuple(self.parameters.sort))  # type: ignore[attr-defined] # generated

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
        items, total = await _statement(self._form(None)).run(session, values)
        exact = not self._is_filtered or total <= MAX_DEPTH
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
        items, count, last = await _statement(self._form(tuple(value is None for value in position))).run(session, values)
        cursor = encode_cursor(list(orjson.loads(last)[0].values()), self._scope) if count > size else None
        return self._page(_envelope(items, {"size": size, "next_cursor": cursor}), has_next=cursor is not None, next_cursor=cursor)

    def _page(self, body: bytes, *, has_next: bool, next_cursor: str | None = None) -> Page:
        def tags() -> frozenset[str]:
            looked_up = {spec.kind for spec, _ in self.given.values() if spec.kind is not None}
            return tags_of_page(self.model, self.schema, body, looked_up | included_tags(self.model, self._shown("include")))

        return Page(body, has_next, tags, next_cursor)

    @property
    def _is_filtered(self) -> bool:
        return bool(self.given) or self.parameters.ids is not None

    def _form(self, after: tuple[bool, ...] | None) -> _Form:
        given = tuple((name, spec.form(value, self.parameters)) for name, (spec, value) in self.given.items() if spec.condition is not None)
        sort = tuple(self.parameters.sort)  # type: ignore[attr-defined] # generated
        has_ids, only, include = self.parameters.ids is not None, self._shown("fields"), self._shown("include")
        return _Form(self.model, self.schema, self.everything, given, has_ids, sort, only, include, after)

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
        return [_from_json(value, _type_of(self.model, key).python_type) for value, key in zip(values, self.keys, strict=True)]


def _keys(model: type[EntityModel], schema: type[BaseModel], sort: tuple[str, ...]) -> list[SortKey]:
    return parse_sort(sort, sort_keys(model, schema))


def _type_of(model: type[EntityModel], key: SortKey) -> TypeEngine[Any]:
    return inspect(model).column_attrs[key.attribute].columns[0].type


@lru_cache(maxsize=512)
def _statement(form: _Form) -> _Statement:
    """Build the statement once for all who ask for the same with other values: SQLAlchemy takes longer for it than PostgreSQL."""
    return _Builder(form).statement()


class _Builder:
    """Builds the statement behind a page.

    One plan serves all values, and PostgreSQL cannot tell before how many entries match. So the statement finds out first: the
    ids of what matches, in no order and up to a number. Few are fetched and sorted. Of many, the first are found by walking
    through all in their order; a list of what one entity is linked to walks through its links alone, which know the names.
    """

    def __init__(self, form: _Form) -> None:
        """Start the text."""
        self.form = form
        self.asked = Placeholders()
        self.entity: Any = _listed(form.model)
        self.keys = _keys(form.model, form.schema, form.sort)
        public = None if form.everything else form.model.is_public(self.entity)
        self.visible = [] if public is None else [public]
        self.filters = filters_of(form.model, form.schema, everything=form.everything)
        self.where = [*self._conditions(), *self.visible]
        if form.after:
            types = [_type_of(form.model, key) for key in self.keys]
            values = [None if is_null else self.asked(f"after.{n}", types[n]) for n, is_null in enumerate(form.after)]
            self.where.append(keyset(self.entity, self.keys, values))

    def statement(self) -> _Statement:
        """Return the text and its parameters."""
        query = self._numbered() if self.form.after is None else self._after_cursor()
        return _Statement(as_text(query), tuple(self.asked.names))

    def _conditions(self) -> Iterator[ColumnElement[bool]]:
        for name, form in self.form.given:
            condition = self.filters[name].condition
            if condition is not None:
                yield condition(self.entity, form, self._part_of(name))
        if self.form.has_ids:
            yield self.entity.id == any_(self.asked("ids", ARRAY(Uuid())))

    def _part_of(self, name: str) -> Asked:
        return lambda part, type_: self.asked(f"{name}.{part}", type_)

    # --- what matches -----------------------------------------------------------------------------------------------

    @property
    def _is_filtered(self) -> bool:
        return bool(self.form.given) or self.form.has_ids

    @cached_property
    def _one_link(self) -> tuple[LinkTo, ColumnElement[Any]] | None:
        """The first filter that names one entity that everybody sees, and the id of that."""
        for name, form in self.form.given:
            link = self.filters[name].link
            if link is not None and form is True and link.is_open and link.is_pair:
                return link, entity_id(link.target, self._part_of(name))
        return None

    @property
    def _is_one_link_alone(self) -> bool:
        return self._one_link is not None and len(self.form.given) == 1 and not self.form.has_ids and not self.form.after

    @property
    def _walks_links(self) -> bool:
        return self._one_link is not None and self.keys[0].attribute == "sort_name"

    def _matching(self, limit: int) -> CTE | None:
        """The ids of what a client asked for, in no order and up to a number; None where nobody needs them."""
        if not self._is_filtered:
            return None
        if self._is_one_link_alone and self._one_link is not None and not self.visible:
            link, identifier = self._one_link
            found = select(link.owner_id).where(link.target_id == identifier)
        else:
            found = select(self.entity.id).where(*self.where)
        return found.limit(limit).cte("matching")

    def _kept_total(self) -> ColumnElement[int] | None:
        """The number of all, where triggers keep it."""
        if self.visible and not self.form.model.is_public_by_itself:
            return None
        if self._one_link is not None and self._is_one_link_alone:
            link, identifier = self._one_link
            source = f"{link.model.__tablename__}.{link.model.__target__}_id"
            return kept_group_count(source, identifier, _count(self._all()), public=bool(self.visible))
        return None if self._is_filtered else kept_count(self.form.model, _count(self._all()), public=bool(self.visible))

    def _all(self) -> Any:
        return select(self.entity.id).where(*self.where).subquery()

    # --- the page ---------------------------------------------------------------------------------------------------

    def _numbered(self) -> Select[Any]:
        kept = self._kept_total()
        matching = self._matching(MAX_DEPTH + 1 if kept is None else FEW + 1)
        size, offset = self.asked("size", BigInteger()), self.asked("offset", BigInteger())
        rows = self._rows(matching, size, offset)
        total = kept if kept is not None else _count(self._all() if matching is None else matching)
        return select(self._items(), total).add_cte(rows.cte(PAGE))

    def _after_cursor(self) -> Select[Any]:
        size = self.asked("size", BigInteger())
        found = self._rows(self._matching(FEW + 1), self.asked("limit", BigInteger())).cte("found")
        last = select(*self._key_values(found)).where(found.c.n == size)
        page = select(found).where(found.c.n <= size).cte(PAGE)
        return select(self._items(), _count(found), cast(json_list(last), Text)).add_cte(page)

    def _rows(self, matching: CTE | None, limit: ColumnElement[int], offset: ColumnElement[int] | None = None) -> Select[Any]:
        """The ids of a page with their numbers, and with the values that they are ordered by.

        Numbered is what the page has, not all that matches: PostgreSQL would sort the whole of it.
        """
        few, many = (rows.limit(limit).offset(offset) for rows in (self._ordered(), self._walk()))
        if matching is None or (self._walks_links and self._is_one_link_alone):
            page = many.subquery()
        else:
            is_few = _count(matching) <= FEW
            few = few.where(self.entity.id == any_(func.array(select(*matching.c).scalar_subquery())), is_few)
            page = union_all(few, many.where(~is_few)).subquery()
        order = [key.ordered(page.c[f"k{index}"]) for index, key in enumerate(self.keys)]
        return select(page, func.row_number().over(order_by=order).label("n"))

    def _ordered(self, *names: ColumnElement[str]) -> Select[Any]:
        """All entities in their order, by these names if there are any."""
        columns = [*names, *(getattr(self.entity, key.attribute) for key in self.keys[len(names) :])]
        labelled = [column.label(f"k{index}") for index, column in enumerate(columns)]
        return select(self.entity.id, *labelled).order_by(*(key.ordered(column) for key, column in zip(self.keys, columns, strict=True)))

    def _walk(self) -> Select[Any]:
        """All that match, in their order."""
        if self._one_link is None or not self._walks_links:
            return self._ordered().where(*self.where)
        found, identifier = self._one_link
        link = replace(found, link=aliased(found.model))
        owned = (link.target_id == identifier, link.owner_id == self.entity.id)
        return self._ordered(link.link.sort_name).where(*owned, *self.where)

    def _items(self) -> ColumnElement[str]:
        form = self.form
        return literal_column(_items_sql(form.model, form.schema, form.only, form.include, everything=form.everything), Text)

    def _key_values(self, rows: CTE) -> list[ColumnElement[Any]]:
        """The sort values as JSON that reads back to the same values."""
        columns = [rows.c[f"k{index}"] for index in range(len(self.keys))]
        return [(utc_text(column) if column.type.python_type is datetime else column).label(column.key) for column in columns]


@cache
def _listed(model: type[EntityModel]) -> Any:
    """Return the alias of a kind in the queries of its lists: SQLAlchemy finds the columns of a new one anew, in milliseconds."""
    return aliased(model)


@lru_cache(maxsize=256)
def _items_sql(
    model: type[EntityModel], schema: type[BaseModel], only: frozenset[str], include: frozenset[str], *, everything: bool
) -> str:
    """Return the expression that renders the items of the rows in `page`, as text: SQLAlchemy would walk through it at each use."""
    entity, rows = aliased(model), table(PAGE, column("id", Uuid), column("n", Integer))
    columns = select_json(schema, entity, everything=everything, only=only, include=include)
    items = cast(json_list(select(*columns).select_from(entity).join(rows, rows.c.id == entity.id).order_by(rows.c.n)), Text)
    return as_text(items)


def _count(rows: Any) -> ColumnElement[int]:
    return select(func.count()).select_from(rows).scalar_subquery()


def _from_json(value: Any, python_type: type) -> Any:
    if value is None:
        return None
    if python_type is datetime:
        return datetime.fromisoformat(value)
    return uuid.UUID(value) if python_type is uuid.UUID else value


def _envelope(items: str, members: dict[str, Any]) -> bytes:
    return b'{"items":' + items.encode() + b"," + orjson.dumps(members)[1:]
