"""Bodies of aircraft."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from fastapi_application.core.dates import Edtf
from fastapi_application.crud.read_query import ReverseCount, ReverseList
from fastapi_application.crud.schemas import (
    AircraftRef,
    Aliases,
    ArticleReference,
    Count,
    CountryRef,
    CountryReference,
    DesignBureauRef,
    DesignerRef,
    EngineRef,
    EntityItem,
    LanguageTag,
    LongText,
    ManufacturerRef,
    Markdown,
    Measure,
    Name,
    Reference,
    RequestSchema,
    Schema,
    ShortText,
    Sources,
    WriteSchema,
    unique,
)
from fastapi_application.encyclopedia.articles.models import ArticleAircraft
from fastapi_application.encyclopedia.illustrations import Illustration, Illustrations
from fastapi_application.encyclopedia.vocabulary import AircraftCategory, AircraftStatus, EngineType, LineageType, Purpose


class AircraftFields(BaseModel):
    """What requests and responses share. A number's unit is in its name; all are metric."""

    name: Name
    original_name: Annotated[Name | None, Field(description="In the language of its makers")] = None
    aliases: Aliases = []
    names: Annotated[dict[LanguageTag, Name], Field(max_length=100, description="By language")] = {}
    category: AircraftCategory
    purposes: Annotated[list[Purpose], Field(max_length=30), unique()] = []
    status: AircraftStatus | None = None
    engine_type: EngineType | None = None
    engine_count: Count | None = None
    first_flight: Edtf | None = None
    introduced: Edtf | None = None
    retired: Edtf | None = None
    produced_from: Edtf | None = None
    produced_to: Edtf | None = None
    number_built: Count | None = None
    crew: Count | None = None
    passengers: Count | None = None
    length_m: Measure | None = None
    wingspan_m: Measure | None = None
    rotor_diameter_m: Measure | None = None
    height_m: Measure | None = None
    wing_area_m2: Measure | None = None
    empty_weight_kg: Measure | None = None
    max_takeoff_weight_kg: Measure | None = None
    max_speed_kmh: Measure | None = None
    cruise_speed_kmh: Measure | None = None
    range_km: Measure | None = None
    service_ceiling_m: Measure | None = None
    rate_of_climb_ms: Measure | None = None
    icao_designator: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,4}$", description="ICAO Doc 8643; not unique")] | None = None
    iata_designator: Annotated[str, Field(pattern=r"^[A-Z0-9]{3}$")] | None = None


def _known_fields(disputed: dict[str, list[str]]) -> dict[str, list[str]]:
    if set(disputed) - set(AircraftFields.model_fields):
        code = "unknown_field"
        raise PydanticCustomError(code, "The keys are names of fields of an aircraft.")
    return disputed


Disputed = Annotated[
    dict[str, Annotated[list[LongText], Field(min_length=1, max_length=20)]],
    Field(max_length=40, description="Other published values, by field"),
    AfterValidator(_known_fields),
]


class Role(BaseModel):
    """A designer's part."""

    role: ShortText | None = None


class AircraftDesignerWrite(Role, RequestSchema):
    """A designer, in a request."""

    designer: DesignerRef


class AircraftDesignerItem(Role, Schema):
    """A designer."""

    designer: Reference


class Production(BaseModel):
    """When and how many."""

    from_: Annotated[Edtf | None, Field(alias="from")] = None
    to: Edtf | None = None
    quantity: Count | None = None


class AircraftManufacturerWrite(Production, RequestSchema):
    """A maker, in a request."""

    manufacturer: ManufacturerRef


class AircraftManufacturerItem(Production, Schema):
    """A maker."""

    manufacturer: Reference


class Fit(BaseModel):
    """How many engines one aircraft has."""

    count: Count | None = None


class AircraftEngineWrite(Fit, RequestSchema):
    """An engine, in a request."""

    engine: EngineRef


class AircraftEngineItem(Fit, Schema):
    """An engine."""

    engine: Reference


class Edge(BaseModel):
    """How the newer aircraft came from the older one: "this one <type> that one"."""

    type: LineageType


class LineageWrite(Edge, RequestSchema):
    """An older aircraft, in a request."""

    aircraft: AircraftRef


class LineageItem(Edge, Schema):
    """An older aircraft."""

    aircraft: Reference


def _distinct(edges: list[LineageWrite]) -> list[LineageWrite]:
    if len({(edge.aircraft, edge.type) for edge in edges}) != len(edges):
        code = "duplicate_item"
        raise PydanticCustomError(code, "The list names the same item twice.")
    return edges


class AircraftWrite(AircraftFields, WriteSchema):
    """The writable fields of an aircraft."""

    countries: Annotated[list[CountryRef], Field(max_length=50), unique()] = []
    designers: Annotated[list[AircraftDesignerWrite], Field(max_length=100), unique("designer")] = []
    manufacturers: Annotated[list[AircraftManufacturerWrite], Field(max_length=100), unique("manufacturer")] = []
    engines: Annotated[list[AircraftEngineWrite], Field(max_length=100), unique("engine")] = []
    design_bureau: DesignBureauRef | None = None
    images: Illustrations = []
    lineage: Annotated[list[LineageWrite], Field(max_length=100), AfterValidator(_distinct)] = []
    description: Markdown | None = None
    disputed: Disputed = {}
    sources: Sources = []


class AircraftItem(AircraftFields, EntityItem):
    """An aircraft in a list."""

    countries: list[CountryReference]
    designers: list[AircraftDesignerItem]
    manufacturers: list[AircraftManufacturerItem]
    engines: list[AircraftEngineItem]
    design_bureau: Reference | None
    images: list[Illustration]
    lineage: list[LineageItem]
    disputed: dict[str, list[str]]


class AircraftDetail(AircraftItem):
    """An aircraft."""

    description: Markdown | None
    sources: Sources
    articles: Annotated[list[ArticleReference], ReverseList(ArticleAircraft, "aircraft")]
    articles_count: Annotated[int, ReverseCount(ArticleAircraft, "aircraft")]
