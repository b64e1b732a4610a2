"""The building blocks of request and response schemas.

Response schemas are the one description of what a client sees: the SQL that renders them is derived from them
(`read_query`), and so are the filters of lists (`list_query`).
"""

from __future__ import annotations

import re
import unicodedata
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    PlainSerializer,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SLUG_LENGTH = 120
SLUG_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_CODE = re.compile(r"[A-Z]{2}|[A-Z]{4}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
_CONTROL_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]")
_REFERENCE_KEYS = ("id", "slug", "code")


def is_slug(text: str) -> bool:
    """Whether the text has the form of a slug."""
    return len(text) <= MAX_SLUG_LENGTH and _SLUG.fullmatch(text) is not None


def is_country_code(text: str) -> bool:
    """Whether the text has the form of a country's code: two letters, or four for a withdrawn one."""
    return _CODE.fullmatch(text) is not None


def parse_uuid(text: str) -> uuid.UUID | None:
    """A UUID in its canonical form, else None (`uuid.UUID` alone also takes braces and `urn:`)."""
    try:
        value = uuid.UUID(text)
    except ValueError:
        return None
    return value if str(value) == text.lower() else None


# --- text ---------------------------------------------------------------------------------------------------------


def _clean(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def clean(value: str) -> str:
        if pattern.search(value):
            code = "control_character"
            raise PydanticCustomError(code, "Control characters are not allowed.")
        return unicodedata.normalize("NFC", value)

    return clean


one_line = _clean(_CONTROL_LINE)
_ONE_LINE = AfterValidator(one_line)
MANY_LINES = AfterValidator(_clean(_CONTROL))


def _line(max_length: int, min_length: int = 1) -> Any:
    return StringConstraints(min_length=min_length, max_length=max_length, strip_whitespace=True)


def _no_id(slug: str) -> str:
    """Refuse what a path would take for an id."""
    if parse_uuid(slug):
        code = "invalid_slug"
        raise PydanticCustomError(code, "A slug must not have the form of a UUID.")
    return slug


ShortText = Annotated[str, _line(100), _ONE_LINE]
Name = Annotated[str, _line(200), _ONE_LINE]
LongText = Annotated[str, _line(500), _ONE_LINE]
Markdown = Annotated[str, StringConstraints(min_length=1, max_length=200_000), MANY_LINES]
Comment = Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True), MANY_LINES]
Slug = Annotated[str, StringConstraints(pattern=SLUG_PATTERN, max_length=MAX_SLUG_LENGTH), AfterValidator(_no_id)]
LanguageTag = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$", max_length=35)]

# --- numbers: metric, the unit is in the name of the field ----------------------------------------------------------

Count = Annotated[int, Field(ge=0, le=2_000_000_000)]
Measure = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]


_HTTP_URL: TypeAdapter[HttpUrl] = TypeAdapter(HttpUrl)


def _is_web_address(text: str) -> str:
    """Check an address and keep it as it was written: a parsed one would come back in another spelling."""
    try:
        _HTTP_URL.validate_python(text)
    except ValidationError:
        code = "invalid_url"
        raise PydanticCustomError(code, "Expected an http or https address.") from None
    return text


WebAddress = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2083),
    _ONE_LINE,
    AfterValidator(_is_web_address),
    WithJsonSchema({"type": "string", "format": "uri", "maxLength": 2083}),
]


def _utc(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


Timestamp = Annotated[
    datetime,
    PlainSerializer(_utc, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-31T12:00:00.000000Z"]}),
]

# --- base classes ---------------------------------------------------------------------------------------------------


class Schema(BaseModel):
    """A response: built by PostgreSQL, described here."""

    model_config = ConfigDict(populate_by_name=True, json_schema_serialization_defaults_required=True)


class RequestSchema(BaseModel):
    """Part of a request: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, serialize_by_alias=True)


class Embedded(RequestSchema):
    """A value kept inside its entity, the same in requests and responses."""


class WriteSchema(RequestSchema):
    """The writable fields of an entity: the body of POST and PUT, and what PATCH patches."""

    slug: Annotated[Slug | None, Field(description="From the name where absent on POST; unchanged where absent on PUT.")] = None


class EntityItem(Schema):
    """What every entity shows."""

    id: uuid.UUID
    slug: str
    version: int
    created_at: Timestamp
    updated_at: Timestamp
    created_by: uuid.UUID | None
    updated_by: uuid.UUID | None


# --- references -----------------------------------------------------------------------------------------------------


class Reference(Schema):
    """Another entity, as much of it as a link needs."""

    id: uuid.UUID
    slug: str
    name: str


class CountryReference(Reference):
    """A country, with its code."""

    code: str


class ArticleReference(Schema):
    """An article, by its title."""

    id: uuid.UUID
    slug: str
    title: str


@dataclass(frozen=True, slots=True)
class RefersTo:
    """Marks a field of a write schema as a reference to an entity of this kind."""

    kind: str


def _reference(value: object) -> object:
    """Accept a slug, a UUID, a country code, or an object that has one of them."""
    if isinstance(value, dict):
        value = next((value[key] for key in _REFERENCE_KEYS if value.get(key) is not None), None)
    if isinstance(value, str):
        identifier = parse_uuid(value)
        if identifier is not None:
            return str(identifier)
        if is_slug(value) or is_country_code(value):
            return value
    code = "invalid_reference"
    raise PydanticCustomError(code, "A reference is a slug, a UUID or an object with `slug` or `id`.")


_REFERENCE_INPUT = BeforeValidator(
    _reference,
    json_schema_input_type=str | dict[str, Any],
)
_REFERENCE_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string", "description": "Slug, UUID or country code", "maxLength": MAX_SLUG_LENGTH, "minLength": 2},
            {
                "type": "object",
                "description": "Only `id`, `slug` or `code` is read",
                "properties": {
                    "id": {"type": "string", "format": "uuid"},
                    "slug": {"type": "string", "pattern": SLUG_PATTERN},
                    "code": {"type": "string"},
                },
                "anyOf": [{"required": ["id"]}, {"required": ["slug"]}, {"required": ["code"]}],
            },
        ],
    },
)

CountryRef = Annotated[str, _REFERENCE_INPUT, RefersTo("countries"), _REFERENCE_SCHEMA]
AircraftRef = Annotated[str, _REFERENCE_INPUT, RefersTo("aircraft"), _REFERENCE_SCHEMA]
DesignerRef = Annotated[str, _REFERENCE_INPUT, RefersTo("designers"), _REFERENCE_SCHEMA]
DesignBureauRef = Annotated[str, _REFERENCE_INPUT, RefersTo("design-bureaus"), _REFERENCE_SCHEMA]
ManufacturerRef = Annotated[str, _REFERENCE_INPUT, RefersTo("manufacturers"), _REFERENCE_SCHEMA]
EngineRef = Annotated[str, _REFERENCE_INPUT, RefersTo("engines"), _REFERENCE_SCHEMA]
ArticleRef = Annotated[str, _REFERENCE_INPUT, RefersTo("articles"), _REFERENCE_SCHEMA]
ImageRef = Annotated[str, _REFERENCE_INPUT, RefersTo("images"), _REFERENCE_SCHEMA]
TagRef = Annotated[str, _REFERENCE_INPUT, RefersTo("tags"), _REFERENCE_SCHEMA]
TagCategoryRef = Annotated[str, _REFERENCE_INPUT, RefersTo("tag-categories"), _REFERENCE_SCHEMA]


@dataclass(frozen=True, slots=True)
class UniqueItems:
    """Refuses a list in which two items are equal in the given field (or as a whole)."""

    field: str | None = None

    def __call__(self, items: list[Any]) -> list[Any]:
        """Validate the list."""
        keys = [getattr(item, self.field) if self.field else item for item in items]
        if len(set(keys)) != len(keys):
            code = "duplicate_item"
            raise PydanticCustomError(code, "The list names the same item twice.")
        return items


def unique(field: str | None = None) -> AfterValidator:
    """Metadata of a list of references: no two items may be equal, as a whole or in one field."""
    return AfterValidator(UniqueItems(field))


# --- values that several entities embed -----------------------------------------------------------------------------


class Source(Embedded):
    """Where a statement comes from."""

    title: LongText
    author: Name | None = None
    publisher: Name | None = None
    year: Annotated[int, Field(ge=1, le=9999)] | None = None
    isbn: Annotated[str, StringConstraints(pattern=r"^(97[89][- ]?)?[0-9][0-9 -]{7,14}[0-9X]$", max_length=20)] | None = None
    url: WebAddress | None = None
    accessed: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] | None = None


class Alias(Embedded):
    """Another name of the same thing."""

    name: Name
    kind: Literal["nickname", "nato", "military_designation", "company_designation", "transliteration", "other"] = "other"
    language: LanguageTag | None = None


Sources = Annotated[list[Source], Field(max_length=100)]
Aliases = Annotated[list[Alias], Field(max_length=100)]
