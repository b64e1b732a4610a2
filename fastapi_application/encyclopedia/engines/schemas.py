"""Bodies of engines."""

from typing import Annotated

from pydantic import BaseModel

from fastapi_application.core.dates import Edtf
from fastapi_application.crud.read_query import ReverseCount, ReverseList
from fastapi_application.crud.schemas import CountryRef, CountryReference, EntityItem, Name, Reference, WriteSchema
from fastapi_application.encyclopedia.aircraft.models import AircraftEngine
from fastapi_application.encyclopedia.vocabulary import EngineType


class EngineFields(BaseModel):
    """What requests and responses share."""

    name: Name
    original_name: Name | None = None
    manufacturer_name: Name | None = None
    type: EngineType
    first_run: Edtf | None = None


class EngineWrite(EngineFields, WriteSchema):
    """The writable fields of an engine."""

    country: CountryRef | None = None


class EngineItem(EngineFields, EntityItem):
    """An engine in a list."""

    country: CountryReference | None


class EngineDetail(EngineItem):
    """An engine."""

    aircraft: Annotated[list[Reference], ReverseList(AircraftEngine, "engine")]
    aircraft_count: Annotated[int, ReverseCount(AircraftEngine, "engine")]
