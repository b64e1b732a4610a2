"""The SELECT that renders a schema as JSON, derived from the schema.

PostgreSQL builds the bytes that a client gets: one statement for a page, no ORM objects, no second validation.
A field finds its source by its name on the model:

- a column or a date of history: its value;
- a many-to-one relationship: the referenced entity as the nested schema, or its slug in a write schema;
- a list of links: the rows in their order, as the nested schema, or their target's slug in a write schema;
- a field marked `Computed`, `ReverseList` or `ReverseCount`: what the marker says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import ClauseElement, ColumnElement, Label, Select, func, inspect, select
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.orm import InstrumentedAttribute, Mapper, RelationshipProperty, aliased

from fastapi_application.crud.counts import kept_group_count
from fastapi_application.crud.fields import SchemaField, fields_of
from fastapi_application.crud.models import EntityModel, Link
from fastapi_application.crud.schemas import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from pydantic import BaseModel

REVERSE_LIST_LENGTH = 20
DIALECT = asyncpg.dialect()  # type: ignore[no-untyped-call]
_TIMESTAMP_FORMAT = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'


@dataclass(frozen=True)
class Computed:
    """A field whose value is an SQL expression over the entity and `everything`: whether the viewer sees all.

    The read cache cannot see into the expression: `kind` says of which kind (or table) the objects are that it shows,
    `tables` on which kinds it depends as a whole.
    """

    expression: Callable[[Any, bool], ColumnElement[Any]]
    kind: str | None = None
    tables: tuple[str, ...] = ()

    kinds: ClassVar[set[str]] = set()
    """Every `kind` that is named."""

    def __post_init__(self) -> None:
        """Take note."""
        if self.kind is not None:
            self.kinds.add(self.kind)


@dataclass(frozen=True)
class Reverse:
    """The entities that refer to this one, found through `attribute` of `model`: a link, or an entity itself."""

    model: type[Link | EntityModel]
    attribute: str

    def rows(self, entity: Any, *, everything: bool) -> tuple[Any, Any, list[ColumnElement[bool]]]:
        """Return the referring model, the referring entity, and the conditions that join them to `entity`."""
        row = aliased(self.model)
        conditions = [getattr(row, f"{self.attribute}_id") == entity.id]
        owner: Any = row
        if issubclass(self.model, Link):
            owner_name = self.model.__owner__
            owner = aliased(inspect(self.model).relationships[owner_name].mapper.class_)
            conditions.append(owner.id == getattr(row, f"{owner_name}_id"))
        public = inspect(owner).class_.is_public(owner)
        if public is not None and not everything:
            conditions.append(public)
        return row, owner, conditions

    @property
    def source(self) -> str:
        """The column that refers, with its table."""
        return f"{self.model.__tablename__}.{self.attribute}_id"


@dataclass(frozen=True)
class ReverseList(Reverse):
    """The first twenty referring entities by name, with the attributes of the link."""


@dataclass(frozen=True)
class ReverseCount(Reverse):
    """How many entities refer to this one."""


def as_text(query: ClauseElement) -> str:
    """Return the SQL of a query that has no parameters but those that it names itself (`$1`), with its constants in it."""
    return str(query.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True}))


def select_json(
    schema: type[BaseModel],
    entity: Any,
    *,
    everything: bool = False,
    only: Collection[str] = (),
    include: Collection[str] = (),
) -> list[Label[Any]]:
    """Return the labelled columns of one JSON object, in the order of the schema.

    Args:
        schema: what to render.
        entity: the model or an alias of it.
        everything: also what the public may not see.
        only: the keys to render; all of them if there are none.
        include: the keys whose references are rendered as items of a list of their kind.

    """
    return [
        (_included(field, entity) if field.key in include else _column(field, entity, everything)).label(field.key)
        for field in fields_of(schema)
        if not only or field.key in only
    ]


# --- references that are rendered in full -----------------------------------------------------------------------------

_ITEM_SCHEMAS: dict[str, type[BaseModel]] = {}


def register_item_schema(kind: str, schema: type[BaseModel]) -> None:
    """Say how an entity of a kind looks in a list."""
    _ITEM_SCHEMAS[kind] = schema


def item_schema_of(model: type[EntityModel]) -> type[BaseModel]:
    """Return how an entity of a model looks in a list."""
    return _ITEM_SCHEMAS[model.__kind__]


def includable(model: type[EntityModel], schema: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys of the relations of a schema whose targets everybody may see."""
    mapper = inspect(model)
    return tuple(
        field.key
        for field in fields_of(schema)
        if field.name in mapper.relationships and field.marker(Computed) is None and _is_open(mapper.relationships[field.name])
    )


def _is_open(relation: RelationshipProperty[Any]) -> bool:
    target = target_of(relation.mapper.class_)
    return target.is_public(target) is None


def target_of(related: type[Link | EntityModel]) -> type[EntityModel]:
    """Return the entity at the other end of a relationship, through its link if there is one."""
    model: type[EntityModel] = inspect(related).relationships[related.__target__].mapper.class_ if issubclass(related, Link) else related
    return model


def _included(field: SchemaField, entity: Any) -> ColumnElement[Any]:
    relation = inspect(entity).mapper.relationships[field.name]
    related = relation.mapper.class_
    model = target_of(related)
    target: Any = aliased(model)
    item = select_json(item_schema_of(model), target)
    if not issubclass(related, Link):
        return json_object(item, target.id == getattr(entity, f"{relation.key}_id"), within=entity)
    link = aliased(related)
    conditions = (getattr(link, f"{related.__owner__}_id") == entity.id, getattr(link, f"{related.__target__}_id") == target.id)
    if field.schema is not None and issubclass(field.schema, Reference):
        return json_list(select(*item).where(*conditions).order_by(link.position), entity)
    full = json_object(item, conditions[1], within=link)
    nested = [
        (full if inner.name == related.__target__ else _column(inner, link, everything=False)).label(inner.key)
        for inner in fields_of(field.schema)
    ]
    return json_list(select(*nested).where(conditions[0]).order_by(link.position), entity)


def json_object(columns: Iterable[ColumnElement[Any]], *conditions: ColumnElement[bool], within: Any) -> ColumnElement[Any]:
    """Build one compact JSON object from columns, in a row of `within` (a model or an alias)."""
    return _row_to_json(select(*columns).where(*conditions), within).scalar_subquery()


def json_list(rows: Select[Any], within: Any = None) -> ColumnElement[Any]:
    """Collect the rows of a SELECT as a JSON array without any white space."""
    return func.array_to_json(func.array(_row_to_json(rows, within).scalar_subquery()))


def _row_to_json(rows: Select[Any], within: Any) -> Select[Any]:
    # A derived table correlates with nothing unless told to.
    subquery = (rows if within is None else rows.correlate(within)).subquery()
    return select(func.row_to_json(subquery.table_valued()))


def _column(field: SchemaField, entity: Any, everything: bool) -> ColumnElement[Any]:
    if (computed := field.marker(Computed)) is not None:
        return computed.expression(entity, everything)
    if (reverse := field.marker(ReverseList)) is not None:
        return _reverse_list(reverse, field, entity, everything)
    if (count := field.marker(ReverseCount)) is not None:
        return _reverse_count(count, entity, everything)
    mapper: Mapper[Any] = inspect(entity).mapper
    if field.name in mapper.relationships:
        return _relation(mapper.relationships[field.name], field, entity, everything)
    if field.name in mapper.composites:
        column: ColumnElement[Any] = getattr(entity, column_attribute(mapper, field.name))
        return column
    # A reference shows `name`, whatever the entity calls it.
    name = mapper.class_.__label__ if field.name == "name" and not hasattr(entity, "name") else field.name
    attribute: InstrumentedAttribute[Any] = getattr(entity, name)
    return utc_text(attribute) if field.type is datetime else attribute.expression


def column_attribute(mapper: Mapper[Any], name: str, suffix: str = "edtf") -> str:
    """Name the mapped attribute of one of the columns of a date of history."""
    wanted = f"{name.rstrip('_')}_{suffix}"
    return next(prop.key for prop in mapper.column_attrs if prop.columns[0].name == wanted)


def utc_text(column: Any) -> ColumnElement[str]:
    """RFC 3339 in UTC with microseconds, as the schemas' `Timestamp` writes it."""
    return func.to_char(func.timezone("UTC", column), _TIMESTAMP_FORMAT)


def _relation(relation: RelationshipProperty[Any], field: SchemaField, entity: Any, everything: bool) -> ColumnElement[Any]:
    target = aliased(relation.mapper.class_)
    if not field.is_list:
        same = target.id == getattr(entity, f"{relation.key}_id")
        if field.schema is None:
            return select(target.slug).where(same).correlate(entity).scalar_subquery()
        return json_object(select_json(field.schema, target), same, within=entity)
    return _links(target, field, entity, everything)


def _links(link: Any, field: SchemaField, entity: Any, everything: bool) -> ColumnElement[Any]:
    model: type[Link] = inspect(link).class_
    target = aliased(inspect(model).relationships[model.__target__].mapper.class_)
    joined = getattr(link, f"{model.__target__}_id") == target.id
    conditions = [getattr(link, f"{model.__owner__}_id") == entity.id]
    # What has no page for the public has no link to it.
    readable = None if everything else inspect(target).class_.is_readable(target)
    if field.schema is not None and not issubclass(field.schema, Reference):
        if readable is not None:
            conditions.append(select(target.id).where(joined, readable).correlate(link).exists())
        return json_list(select(*select_json(field.schema, link)).where(*conditions).order_by(link.position), entity)
    conditions += [joined, *([] if readable is None else [readable])]
    if field.schema is None:
        slugs = select(target.slug).where(*conditions).order_by(link.position)
        return func.array_to_json(func.array(slugs.correlate(entity).scalar_subquery()))
    return json_list(select(*select_json(field.schema, target)).where(*conditions).order_by(link.position), entity)


def _reverse_list(reverse: Reverse, field: SchemaField, entity: Any, everything: bool) -> ColumnElement[Any]:
    row, owner, conditions = reverse.rows(entity, everything=everything)
    schema = field.schema
    if schema is None:
        message = f"{field.name}: a reverse list needs a schema"
        raise TypeError(message)
    columns = [_column(nested, owner if hasattr(owner, nested.name) else row, everything).label(nested.key) for nested in fields_of(schema)]
    model = inspect(owner).class_
    # A link knows by which name its owner sorts: the first twenty stand together in an index.
    order = row.sort_name if issubclass(reverse.model, Link) else getattr(owner, model.sort_attribute(model.__label__))
    return json_list(select(*columns).where(*conditions).order_by(order, owner.id).limit(REVERSE_LIST_LENGTH), entity)


def _reverse_count(reverse: Reverse, entity: Any, everything: bool) -> ColumnElement[int]:
    row, owner, conditions = reverse.rows(entity, everything=everything)
    exact = select(func.count()).select_from(row).where(*conditions).correlate(entity).scalar_subquery()
    model = inspect(owner).class_
    if not everything and model.is_public(owner) is not None and not model.is_public_by_itself:
        return exact
    return kept_group_count(reverse.source, entity.id, exact, public=not everything)
