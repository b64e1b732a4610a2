"""Lists: one grammar of filters, order and pages for every kind, derived from its item schema.

`country=SU,RU` any of; `field.gte` `.lte` `.is_null`; dates of history take a period and a certainty;
`sort=-first_flight,name`. The order is total, with nulls last both ways.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_origin

from fastapi_pagination import Params
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model
from sqlalchemy import JSON, ColumnElement, Select, and_, any_, false, func, inspect, or_, select, true, union_all
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import aliased

from fastapi_application.core.dates import Edtf, parse_edtf
from fastapi_application.crud.fields import SchemaField, fields_of
from fastapi_application.crud.models import EntitySlug, Link
from fastapi_application.crud.read_query import column_attribute, includable
from fastapi_application.crud.schemas import Name, is_country_code, is_slug, parse_uuid

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Mapper

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


@dataclass(frozen=True, slots=True)
class Filter:
    """One query parameter: its type and the condition it makes of (entity, value, all parameters)."""

    type: Any
    condition: Callable[[Any, Any, BaseModel], Condition] | None
    description: str = ""
    kind: str | None = None
    """The kind in which the condition looks up what the client names."""
    owners: Callable[[list[str]], Select[Any]] | None = None
    """The ids of all that match, without a look at the entities themselves."""


@dataclass(frozen=True, slots=True)
class FilteredBy:
    """Marks a field whose filter is a condition of its own: of (entity, values)."""

    condition: Callable[[Any, list[Any]], Condition]


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
        return {
            field.key.removesuffix("s"): Filter(
                any_of(field.type), lambda entity, value, _: getattr(entity, field.name).overlap(value), "Any of these"
            ),
        }
    return _scalar_filters(field)


def _scalar_filters(field: SchemaField) -> dict[str, Filter]:
    def column(entity: Any) -> Any:
        return getattr(entity, field.name)

    equal = field.type
    if get_origin(equal) is not Literal:
        equal = {int: Annotated[int, Field(ge=-MAX_INT, le=MAX_INT)], float: Bound, str: Name}.get(equal, equal)
    own = field.marker(FilteredBy)

    def matches(entity: Any, value: list[Any], _: BaseModel) -> Condition:
        condition: Condition = own.condition(entity, value) if own else column(entity).in_(value)
        return condition

    filters = {field.key: Filter(any_of(equal), matches, "Any of these")}
    if field.type in (int, float, datetime):
        bound = field.type if field.type is datetime else Bound
        filters[f"{field.key}.gte"] = Filter(bound, lambda entity, value, _: column(entity) >= value, "At least")
        filters[f"{field.key}.lte"] = Filter(bound, lambda entity, value, _: column(entity) <= value, "At most")
    if field.is_nullable:
        filters[f"{field.key}.is_null"] = _null_filter(column)
    return filters


def _null_filter(column: Callable[[Any], Any]) -> Filter:
    return Filter(
        bool,
        lambda entity, value, _: column(entity).is_(None) if value else column(entity).is_not(None),
        "Whether the value is unknown",
    )


def _date_filters(field: SchemaField, mapper: Mapper[Any]) -> dict[str, Filter]:
    earliest, latest = (column_attribute(mapper, field.name, bound) for bound in ("earliest", "latest"))
    certainty = f"{field.key}.certainty"

    def matches(entity: Any, value: str, parameters: BaseModel) -> Condition:
        period = parse_edtf(value)
        first, last = getattr(entity, earliest), getattr(entity, latest)
        if getattr(parameters, _attribute(certainty)) == "definite":
            return and_(first >= period.earliest, last <= period.latest)
        return and_(first <= period.latest, last >= period.earliest)

    return {
        field.key: Filter(Edtf, matches, "A date or period (EDTF) that the date falls into"),
        certainty: Filter(Certainty, None, "`possible` (default): may fall into it; `definite`: certainly does"),
        f"{field.key}.is_null": _null_filter(lambda entity: getattr(entity, earliest)),
    }


def _relation_filters(field: SchemaField, mapper: Mapper[Any], everything: bool) -> dict[str, Filter]:
    related: type[Any] = mapper.relationships[field.name].mapper.class_
    if not issubclass(related, Link):

        def column(entity: Any) -> Any:
            """The reference, as far as the viewer knows of it."""
            identifier, target = getattr(entity, f"{field.name}_id"), aliased(related)
            public = None if everything else related.is_public(target)
            if public is None:
                return identifier
            return select(target.id).where(target.id == identifier, public).correlate(entity).scalar_subquery()

        def refers(entity: Any, refs: list[str], _: BaseModel) -> Condition:
            condition: Condition = column(entity) == any_(entity_ids(related, refs))
            return condition

        return {
            field.key: Filter(any_of(Ref), refers, "Any of these, by slug or id", related.__kind__),
            f"{field.key}.is_null": _null_filter(column),
        }
    target: type[EntityModel] = inspect(related).relationships[related.__target__].mapper.class_
    # One of each for all requests: SQLAlchemy finds the columns of a new alias anew.
    link, other = aliased(related), aliased(target)

    def links(entity: Any, refs: list[str], _: BaseModel) -> Condition:
        owned = getattr(link, f"{related.__owner__}_id") == entity.id
        linked = getattr(link, f"{related.__target__}_id")
        found = select(link.position).where(owned, linked == any_(entity_ids(target, refs)))
        readable = None if everything else target.is_readable(other)
        return (found if readable is None else found.where(linked == other.id, readable)).exists()

    def owners(refs: list[str]) -> Select[Any]:
        linked = getattr(link, f"{related.__target__}_id") == any_(entity_ids(target, refs))
        found = select(getattr(link, f"{related.__owner__}_id")).where(linked)
        return found if len(refs) == 1 and is_pair else found.distinct()

    name = field.key if related.__target__ == field.name else related.__target__
    is_pair = len(inspect(related).primary_key) == 2  # noqa: PLR2004 - owner and target
    is_open = everything or target.is_readable(other) is None
    spec = Filter(any_of(Ref), links, "Any of these, by slug or id", target.__kind__, owners if is_open else None)
    return {_filter_name(name, field.key): spec}


def _filter_name(target: str, key: str) -> str:
    """`countries` is filtered by `country`; a list whose target is of the own kind by its own name (`lineage`)."""
    return target if key.startswith(target[:4]) else key


def entity_ids(model: type[EntityModel], refs: list[str]) -> ColumnElement[Any]:
    """Return the array of the ids that references mean: slugs (former ones too), UUIDs or country codes.

    An array, since PostgreSQL looks it up once and takes it for what it is, a few values of the column:
    of a subquery it assumes that it matches next to nothing.
    """
    queries = []
    if slugs := [ref for ref in refs if is_slug(ref)]:
        queries.append(select(EntitySlug.entity_id).where(EntitySlug.kind == model.__kind__, EntitySlug.slug.in_(slugs)))
    if ids := [identifier for ref in refs if (identifier := parse_uuid(ref))]:
        queries.append(select(model.id).where(model.id.in_(ids)))
    if hasattr(model, "code") and (codes := [ref for ref in refs if is_country_code(ref)]):
        queries.append(select(model.id).where(model.code.in_(codes)))
    if not queries:  # a country's code where no country is meant
        queries.append(select(model.id).where(false()))
    found = union_all(*queries) if len(queries) > 1 else queries[0]
    return func.array(found.scalar_subquery())


# --- order ----------------------------------------------------------------------------------------------------------


def sort_keys(model: type[EntityModel], item: type[BaseModel]) -> dict[str, tuple[str, ...]]:
    """Return the sortable fields: each names the mapped attributes that it orders by."""
    return _sort_keys(model, item)


@cache
def _sort_keys(model: type[EntityModel], item: type[BaseModel]) -> dict[str, tuple[str, ...]]:
    mapper = inspect(model)
    keys: dict[str, tuple[str, ...]] = {}
    for field in fields_of(item):
        if field.name in mapper.composites:
            keys[field.key] = tuple(column_attribute(mapper, field.name, bound) for bound in ("earliest", "latest"))
        elif field.name in mapper.column_attrs and not isinstance(mapper.column_attrs[field.name].columns[0].type, ARRAY | JSON):
            keys[field.key] = (model.sort_attribute(field.name),)
    return keys


@dataclass(frozen=True, slots=True)
class SortKey:
    """One attribute to order by."""

    attribute: str
    descending: bool

    def order(self, entity: Any) -> ColumnElement[Any]:
        """ORDER BY term of an entity."""
        return self.ordered(getattr(entity, self.attribute))

    def ordered(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """ORDER BY term: nulls last both ways."""
        return (column.desc() if self.descending else column.asc()).nulls_last()

    def after(self, column: Any, value: object) -> Condition:
        """What comes after the value in this order."""
        if value is None:
            return ~true()
        return or_(column < value if self.descending else column > value, column.is_(None))


def parse_sort(names: list[str], keys: dict[str, tuple[str, ...]]) -> list[SortKey]:
    """Return the attributes to order by, ending with the id: a total order."""
    result: list[SortKey] = []
    for name in names:
        descending = name.startswith("-")
        result += [SortKey(attribute, descending) for attribute in keys[name.removeprefix("-")]]
    return [*result, SortKey("id", descending=False)]


def keyset(entity: Any, keys: list[SortKey], values: list[Any]) -> Condition:
    """Return the condition for the rows behind the one with these values."""
    alternatives: list[Condition] = []
    equal: list[Condition] = []
    for key, value in zip(keys, values, strict=True):
        column = getattr(entity, key.attribute)
        alternatives.append(and_(*equal, key.after(column, value)))
        equal.append(column.is_(None) if value is None else column == value)
    return or_(*alternatives)


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


def conditions(entity: Any, filters: dict[str, Filter], parameters: ListParams) -> list[Condition]:
    """Return the conditions that the parameters make."""
    result = [
        spec.condition(entity, value, parameters)
        for name, spec in filters.items()
        if spec.condition is not None and (value := getattr(parameters, _attribute(name))) is not None
    ]
    if parameters.ids is not None:
        result.append(entity.id.in_(parameters.ids))
    return result


def matching_ids(entity: Any, filters: dict[str, Filter], parameters: ListParams, where: list[Condition]) -> Select[Any]:
    """Return the ids of what matches all conditions, in no order: from a link alone where that is all that is asked for."""
    if len(where) == 1:
        for name, spec in filters.items():
            if spec.owners is not None and (refs := getattr(parameters, _attribute(name))) is not None:
                return spec.owners(refs)
    return select(entity.id).where(*where)


def kinds_looked_up(filters: dict[str, Filter], parameters: ListParams) -> set[str]:
    """Return the kinds whose slugs decide what the parameters match."""
    return {spec.kind for name, spec in filters.items() if spec.kind is not None and getattr(parameters, _attribute(name)) is not None}
