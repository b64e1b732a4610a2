"""Bodies of manufacturers."""

from typing import Annotated

from pydantic import BaseModel, Field

from fastapi_application.core.dates import Edtf
from fastapi_application.crud.read_query import ReverseCount, ReverseList
from fastapi_application.crud.schemas import (
    Aliases,
    ArticleReference,
    CountryRef,
    CountryReference,
    EntityItem,
    ManufacturerRef,
    Name,
    Reference,
    Sources,
    WriteSchema,
)
from fastapi_application.encyclopedia.aircraft.models import AircraftManufacturer
from fastapi_application.encyclopedia.articles.models import ArticleManufacturer
from fastapi_application.encyclopedia.vocabulary import ManufacturerKind


class ManufacturerFields(BaseModel):
    """What requests and responses share."""

    kind: ManufacturerKind | None = None
    name: Name
    original_name: Name | None = None
    aliases: Aliases = []
    founded: Edtf | None = None
    dissolved: Edtf | None = None


class ManufacturerWrite(ManufacturerFields, WriteSchema):
    """The writable fields of a manufacturer."""

    country: CountryRef | None = None
    successor: ManufacturerRef | None = None
    sources: Sources = []


class ManufacturerItem(ManufacturerFields, EntityItem):
    """A manufacturer in a list."""

    country: CountryReference | None
    successor: Reference | None


class AircraftOfManufacturer(Reference):
    """An aircraft, with when and how often it was built there."""

    from_: Annotated[Edtf | None, Field(alias="from")]
    to: Edtf | None
    quantity: int | None


class ManufacturerDetail(ManufacturerItem):
    """A manufacturer."""

    sources: Sources
    aircraft: Annotated[list[AircraftOfManufacturer], ReverseList(AircraftManufacturer, "manufacturer")]
    aircraft_count: Annotated[int, ReverseCount(AircraftManufacturer, "manufacturer")]
    articles: Annotated[list[ArticleReference], ReverseList(ArticleManufacturer, "manufacturer")]
    articles_count: Annotated[int, ReverseCount(ArticleManufacturer, "manufacturer")]
