"""Bodies of the ICAO type designators."""

from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import aliased

from fastapi_application.crud.read_query import REVERSE_LIST_LENGTH, Computed, json_list, select_json
from fastapi_application.crud.schemas import EntityItem, Reference
from fastapi_application.encyclopedia.aircraft.models import Aircraft


def _aircraft(entity: Any, _everything: bool) -> ColumnElement[Any]:
    aircraft = aliased(Aircraft)
    rows = select(*select_json(Reference, aircraft)).where(aircraft.icao_designator == entity.designator)
    return json_list(rows.order_by(aircraft.sort_name, aircraft.id).limit(REVERSE_LIST_LENGTH), entity)


def _aircraft_count(entity: Any, _everything: bool) -> ColumnElement[int]:
    same = Aircraft.icao_designator == entity.designator
    return select(func.count()).select_from(Aircraft).where(same).correlate(entity).scalar_subquery()


class IcaoTypeItem(EntityItem):
    """A type designator in a list; values are the list's own."""

    designator: Annotated[str, Field(examples=["A320"])]
    manufacturer: str
    model: str
    aircraft_class: Annotated[str, Field(alias="class", examples=["landplane"])]
    description: Annotated[str, Field(description="Class, engines and their type", examples=["L2J"])]
    engine_type: Annotated[str, Field(examples=["jet"])]
    engine_count: int | None
    wake_category: Annotated[str, Field(examples=["L/M"])]


class IcaoTypeDetail(IcaoTypeItem):
    """A type designator, with the aircraft that have it."""

    aircraft: Annotated[list[Reference], Computed(_aircraft, tables=("aircraft",))]
    aircraft_count: Annotated[int, Computed(_aircraft_count, tables=("aircraft",))]
