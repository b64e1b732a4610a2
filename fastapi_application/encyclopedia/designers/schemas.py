"""Bodies of designers."""

from typing import Annotated

from pydantic import BaseModel, Field

from fastapi_application.core.dates import Edtf
from fastapi_application.crud.read_query import ReverseCount, ReverseList
from fastapi_application.crud.schemas import (
    Aliases,
    ArticleReference,
    CountryRef,
    CountryReference,
    DesignBureauRef,
    EntityItem,
    Markdown,
    Name,
    Reference,
    RequestSchema,
    Schema,
    ShortText,
    Sources,
    WriteSchema,
    unique,
)
from fastapi_application.encyclopedia.aircraft.models import AircraftDesigner
from fastapi_application.encyclopedia.articles.models import ArticleDesigner


class DesignerFields(BaseModel):
    """What requests and responses share."""

    name: Name
    original_name: Name | None = None
    aliases: Aliases = []
    birth_date: Edtf | None = None
    death_date: Edtf | None = None


class TimeAtBureau(BaseModel):
    """When, and as what."""

    role: ShortText | None = None
    from_: Annotated[Edtf | None, Field(alias="from")] = None
    to: Edtf | None = None


class TimeAtBureauWrite(TimeAtBureau, RequestSchema):
    """A designer's time at a design bureau, in a request."""

    design_bureau: DesignBureauRef


class TimeAtBureauItem(TimeAtBureau, Schema):
    """A designer's time at a design bureau."""

    design_bureau: Reference


class DesignerWrite(DesignerFields, WriteSchema):
    """The writable fields of a designer."""

    country: CountryRef | None = None
    biography: Markdown | None = None
    design_bureaus: Annotated[list[TimeAtBureauWrite], Field(max_length=50), unique("design_bureau")] = []
    sources: Sources = []


class DesignerItem(DesignerFields, EntityItem):
    """A designer in a list."""

    country: CountryReference | None
    design_bureaus: list[TimeAtBureauItem]


class AircraftOfDesigner(Reference):
    """An aircraft, with the designer's part in it."""

    role: str | None


class DesignerDetail(DesignerItem):
    """A designer."""

    biography: Markdown | None
    sources: Sources
    aircraft: Annotated[list[AircraftOfDesigner], ReverseList(AircraftDesigner, "designer")]
    aircraft_count: Annotated[int, ReverseCount(AircraftDesigner, "designer")]
    articles: Annotated[list[ArticleReference], ReverseList(ArticleDesigner, "designer")]
    articles_count: Annotated[int, ReverseCount(ArticleDesigner, "designer")]
