"""Bodies of countries."""

from typing import Annotated

from pydantic import BaseModel, Field

from fastapi_application.core.dates import Edtf
from fastapi_application.crud.schemas import CountryRef, CountryReference, EntityItem, LanguageTag, Name, WriteSchema, unique


class CountryFields(BaseModel):
    """What requests and responses share."""

    code: Annotated[str, Field(pattern=r"^([A-Z]{2}|[A-Z]{4})$", description="ISO 3166-1 alpha-2, or a withdrawn code", examples=["SU"])]
    name: Name
    names: Annotated[dict[LanguageTag, Name], Field(max_length=100, description="By language")] = {}
    alpha3: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    iso_3166_3: Annotated[str, Field(pattern=r"^[A-Z]{4}$", description="Code of a withdrawn country")] | None = None
    existed_from: Edtf | None = None
    existed_to: Edtf | None = None


class CountryWrite(CountryFields, WriteSchema):
    """The writable fields of a country."""

    successors: Annotated[list[CountryRef], Field(max_length=50), unique()] = []


class CountryItem(CountryFields, EntityItem):
    """A country in a list."""

    successors: list[CountryReference]


class CountryDetail(CountryItem):
    """A country."""
