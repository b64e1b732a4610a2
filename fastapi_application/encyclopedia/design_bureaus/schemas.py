"""Bodies of design bureaus."""

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
    Name,
    Reference,
    Sources,
    WriteSchema,
)
from fastapi_application.encyclopedia.aircraft.models import Aircraft
from fastapi_application.encyclopedia.articles.models import ArticleDesignBureau
from fastapi_application.encyclopedia.designers.models import DesignerDesignBureau


class DesignBureauFields(BaseModel):
    """What requests and responses share."""

    name: Name
    original_name: Name | None = None
    aliases: Aliases = []
    founded: Edtf | None = None
    dissolved: Edtf | None = None
    location: Name | None = None


class DesignBureauWrite(DesignBureauFields, WriteSchema):
    """The writable fields of a design bureau."""

    country: CountryRef | None = None
    sources: Sources = []


class DesignBureauItem(DesignBureauFields, EntityItem):
    """A design bureau in a list."""

    country: CountryReference | None


class DesignerOfBureau(Reference):
    """A designer, with the time at the bureau."""

    role: str | None
    from_: Annotated[Edtf | None, Field(alias="from")]
    to: Edtf | None


class DesignBureauDetail(DesignBureauItem):
    """A design bureau."""

    sources: Sources
    designers: Annotated[list[DesignerOfBureau], ReverseList(DesignerDesignBureau, "design_bureau")]
    designers_count: Annotated[int, ReverseCount(DesignerDesignBureau, "design_bureau")]
    aircraft: Annotated[list[Reference], ReverseList(Aircraft, "design_bureau")]
    aircraft_count: Annotated[int, ReverseCount(Aircraft, "design_bureau")]
    articles: Annotated[list[ArticleReference], ReverseList(ArticleDesignBureau, "design_bureau")]
    articles_count: Annotated[int, ReverseCount(ArticleDesignBureau, "design_bureau")]
