"""Parameters and answer of the comparison."""

import uuid
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from fastapi_application.crud.list_query import Ref, any_of

Units = Literal["metric", "imperial"]
MAX_COMPARED = 10


class CompareParams(BaseModel):
    """What to compare."""

    model_config = ConfigDict(extra="forbid")

    refs: Annotated[
        any_of(Ref),  # type: ignore[valid-type]
        Field(min_length=2, max_length=MAX_COMPARED, description="Two to ten aircraft, by slug or id"),
    ]
    units: Annotated[Units, Field(description="Units of the answer; the data are metric")] = "metric"


class Compared(BaseModel):
    """An aircraft of the comparison."""

    id: uuid.UUID
    slug: str
    name: str
    url: str


class ComparedField(BaseModel):
    """One line of the comparison."""

    field: Annotated[str, Field(description="Name of the field of an aircraft")]
    unit: Annotated[str | None, Field(description="Unit of the values here; null: none", examples=["km/h"])]
    values: Annotated[list[float | int | str | None], Field(description="In the order of the aircraft")]
    best: Annotated[list[str], Field(description="Slugs of the aircraft with the best value; empty where none is better")]


class Comparison(BaseModel):
    """Aircraft side by side."""

    units: Units
    items: list[Compared]
    fields: list[ComparedField]
