"""Bodies of facts."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, StringConstraints

from fastapi_application.crud.schemas import AircraftRef, DesignerRef, EntityItem, Reference, Source, WriteSchema, one_line

MAX_FACT_LENGTH = 256


class FactFields(BaseModel):
    """What requests and responses share."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_FACT_LENGTH, strip_whitespace=True), AfterValidator(one_line)]
    source: Source | None = None


class FactWrite(FactFields, WriteSchema):
    """The writable fields of a fact."""

    aircraft: AircraftRef | None = None
    designer: DesignerRef | None = None


class FactItem(FactFields, EntityItem):
    """A fact in a list."""

    aircraft: Reference | None
    designer: Reference | None


class FactDetail(FactItem):
    """A fact."""
