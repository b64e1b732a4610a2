"""Tags of the read cache: what an answer shows, read from its JSON by its schema, and what a flush touches.

Both follow from the models and schemas; a new kind gets them without a word. The kinds of tags, for aircraft `7`:

- `aircraft:7`: its row; on its page and wherever it is shown as a reference or an item;
- `aircraft:7+`: what others say of it: its page shows who refers to it;
- `aircraft`, `aircraft+`: any of them; on lists, 404s, 308s, and instead of many ids.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import ColumnElement, ForeignKey, Select, event, inspect, select
from sqlalchemy.orm import ColumnProperty, Mapper, Session
from sqlalchemy.sql import visitors

from fastapi_application.crud.fields import SchemaField, fields_of
from fastapi_application.crud.models import EntityModel, EntitySlug, Link, all_kinds
from fastapi_application.crud.read_query import Computed, Reverse, ReverseCount, ReverseList, item_schema_of, target_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pydantic import BaseModel
    from sqlalchemy.orm import ORMExecuteState
    from sqlalchemy.orm.unitofwork import UOWTransaction

    from fastapi_application.core.db import Base

MAX_IDS_OF_A_KIND = 16
MAX_TAGS = 40
TAGS = "cache_tags"
"""Where a session keeps the tags of what it has flushed, and the execution option by which bulk statements name theirs."""


def kind_of(model: type[Base]) -> str:
    """Return the name of a model in tags."""
    return str(getattr(model, "__kind__", None) or model.__tablename__)


# --- what an answer shows --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """A key of a JSON object under which others are shown: of which kind, and what they show in turn."""

    key: str
    kind: str | None
    plan: _Plan | None


@dataclass(frozen=True, slots=True)
class _Plan:
    parts: tuple[_Part, ...]
    tables: frozenset[str]
    """Kinds of which any row may change what is shown."""
    shows_referrers: bool


def _plan(model: type[Base], schema: type[BaseModel]) -> _Plan:
    return _cached_plan(model, schema)


@cache
def _cached_plan(model: type[Base], schema: type[BaseModel]) -> _Plan:
    parts: list[_Part] = []
    tables: set[str] = set()
    shows_referrers = False
    for field in fields_of(schema):
        if (computed := field.marker(Computed)) is not None:
            tables |= set(computed.tables)
            if computed.kind is not None:
                parts.append(_Part(field.key, computed.kind, None))
        elif (reverse := field.marker(ReverseList)) is not None:
            shows_referrers = True
            parts.append(_Part(field.key, kind_of(_owner(reverse)), None))
        elif field.marker(ReverseCount) is not None:
            shows_referrers = True
        else:
            parts += _relation_parts(field, inspect(model))
    return _Plan(tuple(parts), frozenset(tables), shows_referrers)


def _owner(reverse: Reverse) -> type[Any]:
    model: type[Any] = reverse.model
    return inspect(model).relationships[model.__owner__].mapper.class_ if issubclass(model, Link) else model


def _relation_parts(field: SchemaField, mapper: Mapper[Any]) -> Iterator[_Part]:
    if field.schema is None or field.name not in mapper.relationships:
        return
    related = mapper.relationships[field.name].mapper.class_
    if not issubclass(related, Link):
        yield _Part(field.key, kind_of(related), _plan(related, field.schema))
    elif any(nested.name in inspect(related).relationships for nested in fields_of(field.schema)):
        yield _Part(field.key, None, _plan(related, field.schema))
    else:
        target = inspect(related).relationships[related.__target__].mapper.class_
        yield _Part(field.key, kind_of(target), _plan(target, field.schema))


def tags_of_document(model: type[EntityModel], schema: type[BaseModel], identifier: object, body: bytes) -> frozenset[str]:
    """Return the tags of the page of one entity."""
    kind, plan = model.__kind__, _plan(model, schema)
    shown: dict[str, set[str]] = defaultdict(set)
    _collect(plan, orjson.loads(body), shown)
    tags = {f"{kind}:{identifier}", *plan.tables}
    if plan.shows_referrers:
        tags.add(f"{kind}:{identifier}+")
    return _bounded(tags, shown)


def tags_of_page(model: type[EntityModel], schema: type[BaseModel], body: bytes, filtered_by: Iterable[str] = ()) -> frozenset[str]:
    """Return the tags of a list: any change of its kind is one of it; `filtered_by` names the kinds that its filters look up."""
    plan = _plan(model, schema)
    shown: dict[str, set[str]] = defaultdict(set)
    for item in orjson.loads(body)["items"]:
        _collect(plan, item, shown)
    shown.pop(model.__kind__, None)
    tags = {model.__kind__, *plan.tables, *filtered_by}
    if plan.shows_referrers:
        tags.add(f"{model.__kind__}+")
    return _bounded(tags, shown)


def included_tags(model: type[EntityModel], keys: Iterable[str]) -> frozenset[str]:
    """Return the tags of relations that a list shows in full: whole kinds, with all that items of them show."""
    relationships = inspect(model).relationships
    targets = {target_of(relationships[key].mapper.class_) for key in keys}
    return tags_of_kinds(kind for target in targets for kind in _kinds_shown(target, item_schema_of(target)))


def _kinds_shown(model: type[EntityModel], schema: type[BaseModel]) -> set[str]:
    kinds, plans = {model.__kind__}, [_plan(model, schema)]
    for plan in plans:
        kinds |= plan.tables | {part.kind for part in plan.parts if part.kind is not None}
        plans += [part.plan for part in plan.parts if part.plan is not None]
    return kinds


def _collect(plan: _Plan, document: dict[str, Any], shown: dict[str, set[str]]) -> None:
    for part in plan.parts:
        value = document.get(part.key)
        for item in value if isinstance(value, list) else [value] if value else []:
            if part.kind is not None and "id" in item:
                shown[part.kind].add(item["id"])
            if part.plan is not None:
                _collect(part.plan, item, shown)


def _bounded(tags: set[str], shown: dict[str, set[str]]) -> frozenset[str]:
    """Name few of a kind one by one, many as their kind."""
    room = MAX_TAGS - len(tags)
    for kind, ids in sorted(shown.items(), key=lambda item: len(item[1])):
        if len(ids) > min(MAX_IDS_OF_A_KIND, room) or kind in tags:
            tags.add(kind)
        else:
            tags |= {f"{kind}:{identifier}" for identifier in ids}
            room -= len(ids)
    return frozenset(tags)


def tags_of_kinds(kinds: Iterable[str]) -> frozenset[str]:
    """Return the tags of a page that is made of whole kinds: any change of one is one of it, what others say of it included."""
    return frozenset(tag for kind in kinds for tag in (kind, f"{kind}+"))


def missing_tags(model: type[EntityModel]) -> frozenset[str]:
    """Return the tags of a 404 or 308 of a kind."""
    return frozenset({model.__kind__})


# --- what a flush touches --------------------------------------------------------------------------------------------


@event.listens_for(Session, "after_flush")
def _note_flush(session: Session, _context: UOWTransaction) -> None:
    tags: set[str] = session.info.setdefault(TAGS, set())
    for row in (*session.new, *session.deleted, *(row for row in session.dirty if session.is_modified(row))):
        if isinstance(row, EntityModel):
            tags |= _tags_of_entity(session, row)
        elif isinstance(row, Link):
            tags |= _tags_of_link(row)
        elif row not in session.new and kind_of(type(row)) in _rendered_tables():  # nothing shows a new one yet
            tags |= {kind_of(type(row)), f"{kind_of(type(row))}:{inspect(row).identity[0]}"}


def _tags_of_entity(session: Session, row: EntityModel) -> set[str]:
    tags = {row.__kind__, f"{row.__kind__}:{row.id}"}
    for key, kind in _references(type(row)):
        history = inspect(row).attrs[key].history
        if history.added or history.deleted or row in session.deleted:
            for identifier in (*history.added, *history.deleted, *history.unchanged):
                tags |= _told(kind, identifier)
    if row in session.dirty and any(inspect(row).attrs[key].history.has_changes() for key in _visibility(type(row))):
        tags |= _neighbours(session, row)
    return tags


def _tags_of_link(row: Link) -> set[str]:
    """The owner shows the row, and the target's page shows who refers to it."""
    relationships = inspect(type(row)).relationships
    owner, target = (relationships[name].mapper.class_ for name in (row.__owner__, row.__target__))
    owner_id, target_id = (getattr(row, f"{name}_id") for name in (row.__owner__, row.__target__))
    return {owner.__kind__, f"{owner.__kind__}:{owner_id}"} | _told(target.__kind__, target_id)


def _told(kind: str, identifier: object) -> set[str]:
    """Return the tags of an entity of which others say something else now."""
    return set() if identifier is None else {f"{kind}+", f"{kind}:{identifier}+"}


@cache
def _references(model: type[EntityModel]) -> tuple[tuple[str, str], ...]:
    """Return the attributes of a model that are foreign keys to entities, with the kinds they refer to."""
    tables = {entity.__tablename__: kind for kind, entity in all_kinds().items()}
    found = []
    for prop in inspect(model).column_attrs:
        keys: Iterable[ForeignKey] = prop.columns[0].foreign_keys if isinstance(prop, ColumnProperty) else ()
        found += [(prop.key, tables[key.column.table.name]) for key in keys if key.column.table.name in tables]
    return tuple(found)


@cache
def _visibility(model: type[EntityModel]) -> frozenset[str]:
    """Return the attributes that decide whether the public sees an entity."""
    condition = model.is_public(model)
    if condition is None:
        return frozenset()
    columns = {element.key for element in visitors.iterate(condition) if isinstance(element, ColumnElement)}
    return frozenset(str(prop.key) for prop in inspect(model).column_attrs if prop.columns[0].key in columns)


def _neighbours(session: Session, row: EntityModel) -> set[str]:
    """Return the tags of all that show an entity which comes or goes for the public: it is no longer, or not yet, on their pages."""
    tags: set[str] = set()
    for key, kind in _references(type(row)):
        tags |= _told(kind, getattr(row, key))
    queries = _neighbour_queries(type(row))
    if queries:
        statement = queries[0].union_all(*queries[1:])
        for kind, identifier, is_told in session.execute(statement, {"id": row.id}):
            tags |= _told(kind, identifier) if is_told else {kind, f"{kind}:{identifier}"}
    return tags


@cache
def _neighbour_queries(model: type[EntityModel]) -> Sequence[Select[Any]]:
    """Return the SELECTs of (kind, id, whether its `+` tags are meant) of what is linked with the entity `:id`."""
    from sqlalchemy import bindparam, literal  # noqa: PLC0415

    identifier = bindparam("id", type_=inspect(model).primary_key[0].type)
    queries: list[Select[Any]] = []
    for mapper in model.registry.mappers:
        source: Any = mapper.class_
        if issubclass(source, Link):
            ends = {name: mapper.relationships[name].mapper.class_ for name in (source.__owner__, source.__target__)}
            own, other = source.__owner__, source.__target__
            if ends[own] is model:
                columns = (literal(kind_of(ends[other])), getattr(source, f"{other}_id"), literal(value=True))
                queries.append(select(*columns).where(getattr(source, f"{own}_id") == identifier))
            if ends[other] is model:
                columns = (literal(kind_of(ends[own])), getattr(source, f"{own}_id"), literal(value=False))
                queries.append(select(*columns).where(getattr(source, f"{other}_id") == identifier))
        elif issubclass(source, EntityModel):
            for key, kind in _references(source):
                if kind == model.__kind__:
                    columns = (literal(source.__kind__), source.id, literal(value=False))
                    queries.append(select(*columns).where(getattr(source, key) == identifier))
    return queries


def _rendered_tables() -> frozenset[str]:
    """Return the tables beside the kinds whose rows are shown in answers."""
    return frozenset(Computed.kinds) - set(all_kinds())


# --- statements that pass by the unit of work -----------------------------------------------------------------------


@event.listens_for(Session, "do_orm_execute")
def _refuse_silent_changes(state: ORMExecuteState) -> None:
    if not (state.is_insert or state.is_update or state.is_delete):
        return
    table = getattr(state.statement, "table", None)
    if table is None or table.name not in _tagged_tables():
        return
    named = state.execution_options.get(TAGS)
    if named is None:
        message = f"a bulk statement on {table.name} must name what it touches: execution_options({TAGS}=…)"
        raise RuntimeError(message)
    state.session.info.setdefault(TAGS, set()).update(named)


def _tagged_tables() -> set[str]:
    return {
        mapper.local_table.name  # type: ignore[attr-defined] # a table
        for mapper in EntityModel.registry.mappers
        if issubclass(mapper.class_, EntityModel | Link | EntitySlug)
    }
