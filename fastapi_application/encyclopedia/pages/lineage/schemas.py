"""Parameters and answers of lineage and family."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from fastapi_application.encyclopedia.vocabulary import LineageType

Direction = Literal["ancestors", "descendants", "both"]
MAX_STEPS = 20
MAX_NODES = 500


class LineageParams(BaseModel):
    """How far to go."""

    model_config = ConfigDict(extra="forbid")

    direction: Annotated[Direction, Field(description="`ancestors` are older, `descendants` newer")] = "both"
    depth: Annotated[int, Field(ge=1, le=MAX_STEPS, description="Steps from the aircraft")] = MAX_STEPS


class LineageNode(BaseModel):
    """An aircraft of the graph."""

    slug: str
    name: str
    first_flight: str | None


class LineageEdge(BaseModel):
    """`from` (the newer one) <type> `to` (the older one)."""

    from_: Annotated[str, Field(alias="from")]
    to: str
    type: LineageType


class Lineage(BaseModel):
    """The aircraft that this one came from and those that came from it, the nearest first."""

    root: str
    nodes: list[LineageNode]
    edges: list[LineageEdge]
    truncated: Annotated[bool, Field(description=f"Whether there is more, beyond `depth` or {MAX_NODES} aircraft")]


class FamilyMember(LineageNode):
    """A variant."""

    number_built: int | None
    variant_of: Annotated[list[str], Field(description="Slugs of what it is a variant or a licensed copy of")]
    url: str


class Family(BaseModel):
    """A type and its variants, the oldest first."""

    root: Annotated[str, Field(description="The aircraft that all others are variants of")]
    items: list[FamilyMember]
    truncated: bool
