"""Lists: one grammar of filters, order and pages for every kind, derived from its item schema.

`country=SU,RU` any of; `field.gte` `.lte` `.is_null`; dates of history take a period and a certainty;
`sort=-first_flight,name`. The order is total, with nulls last both ways.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_origin

from fastapi_pagination import Params
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model
from sqlalchemy import (
    JSON,
    ColumnElement,
    DateTime,
    Float,
    Integer,
    Text,
    Uuid,
    and_,
    any_,
    func,
    inspect,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import aliased

from fastapi_application.core.dates import Edtf, parse_edtf
from fastapi_application.crud.fields import SchemaField, fields_of
from fastapi_application.crud.models import EntitySlug, Link
from fastapi_application.crud.order import sort_keys
from fastapi_application.crud.read_query import DIALECT, column_attribute, includable, target_of
from fastapi_application.crud.schemas import Name, is_country_code, is_slug, parse_uuid

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from sqlalchemy import Select
    from sqlalchemy.orm import Mapper
    from sqlalchemy.types import TypeEngine

    from fastapi_application.crud.models import EntityModel

MAX_DEPTH = 10_000
MAX_ANY_OF = 100
MAX_INT = 2**31 - 1


def _split(value: object) -> object:
    """`a,b` and a repeated parameter mean the same: any of."""
    parts = value if isinstance(value, list) else [value]
    pieces = [piece for part in parts for piece in (part.split(",") if isinstance(part, str) else [part])]
    return pieces[: MAX_ANY_OF + 1]  # one too many is refused; of eight thousand each would be looked at first


def _ref(value: object) -> object:
    if isinstance(value, str) and (parse_uuid(value) or is_slug(value) or is_country_code(value)):
        return value
    message = "a reference is a slug, a UUID or a country code"
    raise ValueError(message)


Ref = Annotated[str, BeforeValidator(_ref), Field(max_length=120)]
Bound = Annotated[float, Field(allow_inf_nan=False, ge=-1e12, le=1e12)]
Certainty = Literal["possible", "definite"]
NullTest = Annotated[bool | None, Field(description="Whether the value is unknown")]


def any_of(item: Any) -> Any:
    """Build the type of a parameter that is repeated or comma separated."""
    return Annotated[list[item], BeforeValidator(_split), Field(max_length=MAX_ANY_OF)]


class ListParams(Params):
    """What every list takes. Generated subclasses add the filters of a kind."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)

    page: Annotated[int, Field(ge=1, le=MAX_DEPTH, description="Page number; page × size is at most 10000")] = 1
    size: Annotated[int, Field(ge=1, le=100, description="Items on a page")] = 20
    cursor: Annotated[
        str | None,
        Field(max_length=2000, description="Walks any length; empty starts, then `next_cursor` of the answer before"),
    ] = None
    ids: Annotated[any_of(uuid.UUID) | None, Field(description="Only the entities with these ids")] = None  # type: ignore[valid-type]


type Condition = ColumnElement[bool]
type Asked = Callable[[str, TypeEngine[Any]], ColumnElement[Any]]
"""Stands for a part of what a client asks for, of a type, in the text of a statement."""


class Placeholders:
    """The parameters of a statement, by number. The values come later: one text serves all who ask for the same in other words."""

    def __init__(self) -> None:
        """Start without any."""
        self.names: list[str] = []

    def __call__(self, name: str, type_: TypeEngine[Any]) -> ColumnElement[Any]:
        """Return the parameter of a name."""
        if name not in self.names:
            self.names.append(name)
        return literal_column(f"CAST(${self.names.index(name) + 1} AS {_without_collation(type_).compile(DIALECT)})", type_)


def _without_collation(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """What is compared with a column takes its collation."""
    if isinstance(type_, ARRAY):
        return ARRAY(_without_collation(type_.item_type))
    return Text() if isinstance(type_, Text) else type_


@dataclass(frozen=True, slots=True)
class LinkTo:
    """What a filter by a link is made of: the link, the entity at its other end, and whether everybody sees that."""

    link: Any
    model: type[Link]
    target: type[EntityModel]
    is_open: bool

    @property
    def owner_id(self) -> ColumnElement[Any]:
        """Who has the link."""
        column: ColumnElement[Any] = getattr(self.link, f"{self.model.__owner__}_id")
        return column

    @property
    def target_id(self) -> ColumnElement[Any]:
        """What it leads to."""
        column: ColumnElement[Any] = getattr(self.link, f"{self.model.__target__}_id")
        return column

    @property
    def is_pair(self) -> bool:
        """Whether there is at most one link between two entities."""
        return len(inspect(self.model).primary_key) == 2  # noqa: PLR2004 - owner and target


@dataclass(frozen=True, slots=True)
class Filter:
    """One query parameter: its type, and the condition it makes of (entity, form, what is asked for)."""

    type: Any
    condition: Callable[[Any, Any, Asked], Condition] | None
    description: str = ""
    kind: str | None = None
    """The kind in which the condition looks up what the client names."""
    form: Callable[[Any, BaseModel], Hashable] = lambda _value, _parameters: None
    """What of the value (and of all parameters) decides the text of the condition."""
    values: Callable[[Any], dict[str, Any]] = lambda value: {"": value}
    """The values of the parts that the condition asks for."""
    link: LinkTo | None = None


@dataclass(frozen=True, slots=True)
class FilteredBy:
    """Marks a field whose filter is a condition of its own: of (entity, values)."""

    condition: Callable[[Any, Sequence[Any]], Condition]


def filters_of(model: type[EntityModel], item: type[BaseModel], *, everything: bool = False) -> dict[str, Filter]:
    """Return every filter of a kind, by the name of its parameter; `everything`: the viewer also sees what is not public."""
    return _filters_of(model, item, everything)


@cache
def _filters_of(model: type[EntityModel], item: type[BaseModel], everything: bool) -> dict[str, Filter]:
    filters: dict[str, Filter] = {}
    for field in fields_of(item):
        filters |= _filters(field, inspect(model), everything)
    return filters


def _filters(field: SchemaField, mapper: Mapper[Any], everything: bool) -> dict[str, Filter]:
    if field.name in mapper.relationships:
        return _relation_filters(field, mapper, everything)
    if field.name in mapper.composites:
        return _date_filters(field, mapper)
    if field.name not in mapper.column_attrs or field.name == "id":
        return {}
    column_type = mapper.column_attrs[field.name].columns[0].type
    if isinstance(column_type, JSON):
        return {}
    if isinstance(column_type, ARRAY):

        def overlaps(entity: Any, _: None, asked: Asked) -> Condition:
            return cast("Condition", getattr(entity, field.name).overlap(asked("", column_type)))

        return {field.key.removesuffix("s"): Filter(any_of(field.type), overlaps, "Any of these")}
    return _scalar_filters(field, column_type)


def _scalar_filters(field: SchemaField, column_type: TypeEngine[Any]) -> dict[str, Filter]:
    def column(entity: Any) -> Any:
        return getattr(entity, field.name)

    equal = field.type
    if get_origin(equal) is not Literal:
        equal = {int: Annotated[int, Field(ge=-MAX_INT, le=MAX_INT)], float: Bound, str: Name}.get(equal, equal)
    filters = {field.key: _equality(field, column, any_of(equal), column_type)}
    if field.type in (int, float, datetime):
        bound, bound_type = (datetime, DateTime(timezone=True)) if field.type is datetime else (Bound, Float())
        filters[f"{field.key}.gte"] = Filter(bound, lambda entity, _, asked: column(entity) >= asked("", bound_type), "At least")
        filters[f"{field.key}.lte"] = Filter(bound, lambda entity, _, asked: column(entity) <= asked("", bound_type), "At most")
    if field.is_nullable:
        filters[f"{field.key}.is_null"] = _null_filter(column)
    return filters


def _equality(field: SchemaField, column: Callable[[Any], Any], type_: Any, column_type: TypeEngine[Any]) -> Filter:
    if (own := field.marker(FilteredBy)) is not None:
        return Filter(
            type_,
            lambda entity, form, _: own.condition(entity, form),
            "Any of these",
            form=lambda value, _: tuple(sorted(set(value))),
            values=lambda _: {},
        )
    return Filter(type_, lambda entity, _, asked: column(entity) == any_(asked("", ARRAY(column_type))), "Any of these")


def _null_filter(column: Callable[[Any], Any]) -> Filter:
    return Filter(
        bool,
        lambda entity, is_null, _: column(entity).is_(None) if is_null else column(entity).is_not(None),
        "Whether the value is unknown",
        form=lambda value, _: bool(value),
        values=lambda _: {},
    )


def _date_filters(field: SchemaField, mapper: Mapper[Any]) -> dict[str, Filter]:
    earliest, latest = (column_attribute(mapper, field.name, bound) for bound in ("earliest", "latest"))
    certainty = f"{field.key}.certainty"

    def matches(entity: Any, is_definite: bool, asked: Asked) -> Condition:
        first, last = getattr(entity, earliest), getattr(entity, latest)
        start, end = asked("start", Integer()), asked("end", Integer())
        return and_(first >= start, last <= end) if is_definite else and_(first <= end, last >= start)

    def days(value: str) -> dict[str, Any]:
        period = parse_edtf(value)
        return {"start": period.earliest, "end": period.latest}

    return {
        field.key: Filter(
            Edtf,
            matches,
            "A date or period (EDTF) that the date falls into",
            form=lambda _, parameters: getattr(parameters, _attribute(certainty)) == "definite",
            values=days,
        ),
        certainty: Filter(Certainty, None, "`possible` (default): may fall into it; `definite`: certainly does"),
        f"{field.key}.is_null": _null_filter(lambda entity: getattr(entity, earliest)),
    }


def _relation_filters(field: SchemaField, mapper: Mapper[Any], everything: bool) -> dict[str, Filter]:
    related: type[Any] = mapper.relationships[field.name].mapper.class_
    if issubclass(related, Link):
        return _link_filters(field, related, everything)

    def column(entity: Any) -> Any:
        """The reference, as far as the viewer knows of it."""
        identifier, target = getattr(entity, f"{field.name}_id"), aliased(related)
        public = None if everything else related.is_public(target)
        if public is None:
            return identifier
        return select(target.id).where(target.id == identifier, public).correlate(entity).scalar_subquery()

    def refers(entity: Any, _: None, asked: Asked) -> Condition:
        return cast("Condition", column(entity) == any_(entity_ids(related, asked)))

    return {
        field.key: Filter(any_of(Ref), refers, "Any of these, by slug or id", related.__kind__, values=ref_values),
        f"{field.key}.is_null": _null_filter(column),
    }


def _link_filters(field: SchemaField, related: type[Link], everything: bool) -> dict[str, Filter]:
    target = target_of(related)
    other = aliased(target)
    readable = None if everything else target.is_readable(other)
    link = LinkTo(aliased(related), related, target, is_open=readable is None)

    def links(entity: Any, _: bool, asked: Asked) -> Condition:
        owned, linked = link.owner_id == entity.id, link.target_id == any_(entity_ids(target, asked))
        found = select(link.link.position).where(owned, linked)
        return (found if readable is None else found.where(link.target_id == other.id, readable)).exists()

    name = field.key if related.__target__ == field.name else related.__target__
    is_one: Callable[[Any, BaseModel], Hashable] = lambda value, _: len(value) == 1  # noqa: E731 - of the type that is wanted
    spec = Filter(any_of(Ref), links, "Any of these, by slug or id", target.__kind__, is_one, ref_values, link)
    return {_filter_name(name, field.key): spec}


def _filter_name(target: str, key: str) -> str:
    """`countries` is filtered by `country`; a list whose target is of the own kind by its own name (`lineage`)."""
    return target if key.startswith(target[:4]) else key


def entity_ids(model: type[EntityModel], asked: Asked) -> ColumnElement[Any]:
    """Return the array of the ids that references mean: slugs (former ones too), UUIDs or country codes.

    An array, since PostgreSQL looks it up once and takes it for what it is, a few values of the column:
    of a subquery it assumes that it matches next to nothing.
    """
    found = union_all(*_entity_ids(model, asked))
    return func.array(found.scalar_subquery())


def entity_id(model: type[EntityModel], asked: Asked) -> ColumnElement[Any]:
    """Return the id that the only reference means, if it means any."""
    return union_all(*_entity_ids(model, asked)).limit(1).scalar_subquery()


def _entity_ids(model: type[EntityModel], asked: Asked) -> Iterator[Select[Any]]:
    slugs = any_(asked("slugs", ARRAY(Text())))
    yield select(EntitySlug.entity_id).where(EntitySlug.kind == model.__kind__, EntitySlug.slug == slugs)
    yield select(model.id).where(model.id == any_(asked("ids", ARRAY(Uuid()))))
    if hasattr(model, "code"):
        yield select(model.id).where(model.code == any_(asked("codes", ARRAY(Text()))))


def ref_values(refs: list[str]) -> dict[str, Any]:
    """Return what `entity_ids` asks for; a country's code means nothing where no country is meant."""
    return {
        "slugs": [ref for ref in refs if is_slug(ref)],
        "ids": [identifier for ref in refs if (identifier := parse_uuid(ref))],
        "codes": [ref for ref in refs if is_country_code(ref)],
    }


# --- the parameters of a kind ---------------------------------------------------------------------------------------


def _attribute(parameter: str) -> str:
    return parameter.replace(".", "__")


def list_params(model: type[EntityModel], item: type[BaseModel], default_sort: str) -> type[ListParams]:
    """Build the model of the query parameters of a kind's list."""
    sorts = [f"{sign}{name}" for name in sort_keys(model, item) for sign in ("", "-")]
    definitions: dict[str, Any] = {
        "sort": (
            any_of(Literal[tuple(sorts)]),
            Field(default_factory=lambda: default_sort.split(","), description="Fields to order by; `-` descends"),
        ),
        "fields": (
            any_of(Literal[tuple(field.key for field in fields_of(item))]) | None,
            Field(default=None, description="Only these fields of each item"),
        ),
    }
    if relations := includable(model, item):
        description = "Relations whose references are shown as items of a list of their kind"
        definitions["include"] = (any_of(Literal[relations]) | None, Field(default=None, description=description))
    for name, spec in filters_of(model, item).items():
        field = Field(default=None, alias=name, description=spec.description)
        definitions[_attribute(name)] = (spec.type | None, field)
    return create_model(f"{model.__name__}ListParams", __base__=ListParams, **definitions)


def given_filters(filters: dict[str, Filter], parameters: ListParams) -> dict[str, tuple[Filter, Any]]:
    """Return the filters that a client has given a value, in a stable order."""
    given = {}
    for attribute in sorted(parameters.model_fields_set):
        name = attribute.replace("__", ".")
        if name in filters and (value := getattr(parameters, attribute)) is not None:
            given[name] = (filters[name], value)
    return given
