"""The statement behind a page of a list: one text for all values, built once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from pydantic import BaseModel
from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Subquery,
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
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlalchemy.types import TypeEngine

from fastapi_application.crud.counts import kept_count, kept_group_count
from fastapi_application.crud.list_query import (
    MAX_DEPTH,
    Asked,
    LinkTo,
    Placeholders,
    entity_id,
    filters_of,
)
from fastapi_application.crud.models import EntityModel
from fastapi_application.crud.order import SortKey, keyset, parse_sort, sort_keys
from fastapi_application.crud.read_query import as_text, json_list, select_json, utc_text

PAGE = "page"
DEPTHS = (100, 1000, MAX_DEPTH)
"""How far a page may reach, for the planner: of a limit that is a parameter it assumes a tenth of all rows."""
FEW = 2000
"""So many rows are fetched and sorted; of more, the first are found by walking through all in their order."""


@dataclass(frozen=True, slots=True)
class Form:
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
    depth: int
    """How many entries stand before the end of the page, at most: with this PostgreSQL chooses how to find them."""
    after: tuple[bool, ...] | None
    """None for a numbered page; for one behind a cursor, which of the values there are null, or nothing at the start."""

    @property
    def is_filtered(self) -> bool:
        """Whether anything is asked for but an order."""
        return bool(self.given) or self.has_ids


@dataclass(frozen=True, slots=True)
class Statement:
    """The text, and what it takes."""

    text: str
    names: tuple[str, ...]
    """Of its parameters."""

    async def run(self, session: AsyncSession, values: dict[str, Any]) -> Any:
        """Return the one row."""
        parameters = tuple(values[name] for name in self.names)
        return (await (await session.connection()).exec_driver_sql(self.text, parameters)).one()


def keys_of(model: type[EntityModel], schema: type[BaseModel], sort: tuple[str, ...]) -> list[SortKey]:
    """Return the total order that the names of fields mean."""
    return parse_sort(sort, sort_keys(model, schema))


def type_of(model: type[EntityModel], key: SortKey) -> TypeEngine[Any]:
    """Return the type of what a key orders by."""
    return inspect(model).column_attrs[key.attribute].columns[0].type


@lru_cache(maxsize=512)
def statement_of(form: Form) -> Statement:
    """Build the statement once for all who ask for the same with other values: SQLAlchemy takes longer for it than PostgreSQL."""
    return _Builder(form).statement()


@dataclass(frozen=True, slots=True)
class _OneLink:
    """A filter that names one entity, which those that match are linked to."""

    name: str
    link: LinkTo
    identifier: ColumnElement[Any]

    @property
    def source(self) -> str:
        """The column by which such links are counted."""
        return f"{self.link.model.__tablename__}.{self.link.model.__target__}_id"

    def anew(self) -> tuple[LinkTo, ColumnElement[bool]]:
        """Return the link under another name, and the condition that it leads to the entity."""
        link = replace(self.link, link=aliased(self.link.model))
        return link, link.target_id == self.identifier


class _Builder:
    """Builds the statement behind a page.

    One plan serves all values, and PostgreSQL cannot tell before how many entries match. So the statement finds out first: the
    ids of what matches, in no order and up to a number. Few are fetched and sorted. If more are known, all entries are passed in
    their order until enough of them are among those; of too many to know, until enough match. A list of what one entity is
    linked to passes its links alone, which know the names.
    """

    def __init__(self, form: Form) -> None:
        """Start the text."""
        self.form = form
        self.asked = Placeholders()
        self.entity: Any = _listed(form.model)
        self.keys = keys_of(form.model, form.schema, form.sort)
        self.filters = filters_of(form.model, form.schema, everything=form.everything)
        self.one_link = next(self._single_links(), None)
        self.counted: CTE | None = None
        public = None if form.everything else form.model.is_public(self.entity)
        self.visible = [] if public is None else [public]
        # All but the one link, through which its entities are found.
        others = (name for name, _ in form.given if self.one_link is None or name != self.one_link.name)
        self.where = [*self._conditions(*others), *self.visible]
        if form.has_ids:
            self.where.append(self.entity.id == any_(self.asked("ids", ARRAY(Uuid()))))
        if form.after:
            types = [type_of(form.model, key) for key in self.keys]
            values = [None if is_null else self.asked(f"after.{n}", types[n]) for n, is_null in enumerate(form.after)]
            self.where.append(keyset(self.entity, self.keys, values))

    def statement(self) -> Statement:
        """Return the text and its parameters."""
        query = self._numbered() if self.form.after is None else self._after_cursor()
        return Statement(as_text(query), tuple(self.asked.names))

    def _single_links(self) -> Iterator[_OneLink]:
        """Return the filters that name one entity that everybody sees, each with the id of that."""
        for name, form in self.form.given:
            link = self.filters[name].link
            if link is not None and form is True and link.is_open and link.is_pair:
                yield _OneLink(name, link, entity_id(link.target, self._part_of(name)))

    def _conditions(self, *names: str) -> Iterator[ColumnElement[bool]]:
        """Return the conditions of these filters."""
        for name, form in self.form.given:
            condition = self.filters[name].condition
            if condition is not None and name in names:
                yield condition(self.entity, form, self._part_of(name))

    def _part_of(self, name: str) -> Asked:
        return lambda part, type_: self.asked(f"{name}.{part}", type_)

    # --- what matches -----------------------------------------------------------------------------------------------

    @property
    def _is_one_link_alone(self) -> bool:
        return self.one_link is not None and len(self.form.given) == 1 and not self.form.has_ids and not self.form.after

    @property
    def _walks_links(self) -> bool:
        return self.one_link is not None and self.keys[0].attribute == "sort_name"

    def _ids(self) -> Select[Any]:
        """All that matches, in no order."""
        if self.one_link is None:
            return select(self.entity.id).where(*self.where)
        link, is_linked = self.one_link.anew()
        found = select(link.owner_id).where(is_linked)
        return found.where(link.owner_id == self.entity.id, *self.where) if self.where else found

    def _matching(self, limit: int) -> CTE | None:
        """The ids of what a client asked for, up to a number; None where nobody needs them."""
        return self._ids().limit(limit).cte("matching") if self.form.is_filtered else None

    def _how_many(self, matching: CTE) -> ColumnElement[int]:
        """The number of what matches, counted once for all who ask."""
        self.counted = self.counted if self.counted is not None else select(func.count().label("n")).select_from(matching).cte("counted")
        return select(self.counted.c.n).scalar_subquery()

    def _kept_total(self) -> ColumnElement[int] | None:
        """The number of all, where triggers keep it."""
        if self.visible and not self.form.model.is_public_by_itself:
            return None
        exact, public = _count(self._ids().subquery()), bool(self.visible)
        if self.one_link is not None and self._is_one_link_alone:
            return kept_group_count(self.one_link.source, self.one_link.identifier, exact, public=public)
        return None if self.form.is_filtered else kept_count(self.form.model, exact, public=public)

    # --- the page ---------------------------------------------------------------------------------------------------

    def _numbered(self) -> Select[Any]:
        kept = self._kept_total()
        known = MAX_DEPTH if kept is None else FEW
        matching = self._matching(known + 1)
        size, offset = self.asked("size", BigInteger()), self.asked("offset", BigInteger())
        rows = self._rows(matching, known, size, offset)
        exact = _count(self._ids().subquery()) if matching is None else self._how_many(matching)
        return select(self._items(), exact if kept is None else kept).add_cte(rows.cte(PAGE))

    def _after_cursor(self) -> Select[Any]:
        size = self.asked("size", BigInteger())
        found = self._rows(self._matching(FEW + 1), FEW, self.asked("limit", BigInteger())).cte("found")
        last = select(*self._key_values(found)).where(found.c.n == size)
        page = select(found).where(found.c.n <= size).cte(PAGE)
        return select(self._items(), _count(found), cast(json_list(last), Text)).add_cte(page)

    def _rows(self, matching: CTE | None, known: int, limit: ColumnElement[int], offset: ColumnElement[int] | None = None) -> Select[Any]:
        """The ids of a page with their numbers, and with the values that they are ordered by.

        Numbered is what the page has, not all that matches: PostgreSQL would sort the whole of it.
        """
        if matching is None or (self._walks_links and self._is_one_link_alone):
            found = self._walk(self.where).limit(self.form.depth).subquery()
        else:
            found = union_all(*(rows.limit(self.form.depth) for rows in self._ways(matching, known))).subquery()
        page = select(found).order_by(*self._order_of(found)).limit(limit).offset(offset).subquery()
        return select(page, func.row_number().over(order_by=self._order_of(page)).label("n"))

    def _ways(self, matching: CTE, known: int) -> Iterator[Select[Any]]:
        """The ways to find the first of what matches, of which one is taken."""
        count = self._how_many(matching)
        fetched = self.entity.id == any_(func.array(select(*matching.c).scalar_subquery()))
        yield self._ordered().where(fetched, count <= FEW)
        if known > FEW:
            yield self._walk([], among=matching).where(count > FEW, count <= known)
        yield self._walk(self.where).where(count > known)

    def _order_of(self, rows: Subquery) -> list[ColumnElement[Any]]:
        return [key.ordered(rows.c[f"k{index}"]) for index, key in enumerate(self.keys)]

    def _ordered(self, *names: ColumnElement[str]) -> Select[Any]:
        """All entities in their order, by these names if there are any."""
        columns = [*names, *(getattr(self.entity, key.attribute) for key in self.keys[len(names) :])]
        labelled = [column.label(f"k{index}") for index, column in enumerate(columns)]
        return select(self.entity.id, *labelled).order_by(*(key.ordered(column) for key, column in zip(self.keys, columns, strict=True)))

    def _walk(self, where: Sequence[ColumnElement[bool]], among: CTE | None = None) -> Select[Any]:
        """All that match, in their order; `among` has the ids of all that do."""
        if self.one_link is None or (among is not None and not self._walks_links):
            return self._ordered().where(*where, *_is_among(self.entity.id, among))
        link, is_linked = self.one_link.anew()
        if self._walks_links:
            owned = (is_linked, link.owner_id == self.entity.id)
            return self._ordered(link.link.sort_name).where(*owned, *where, *_is_among(link.owner_id, among))
        # The filter's own condition has an array of one: PostgreSQL takes it for ten, and so for many, which it is.
        return self._ordered().where(*self._conditions(self.one_link.name), *where)

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


def _is_among(identifier: ColumnElement[Any], among: CTE | None) -> list[ColumnElement[bool]]:
    """Look into a hash table for each row, in the order of the rows: `IS TRUE` keeps the planner from a join, which has none."""
    return [] if among is None else [identifier.in_(select(*among.c)).is_(true())]


def _count(rows: Any) -> ColumnElement[int]:
    return select(func.count()).select_from(rows).scalar_subquery()
