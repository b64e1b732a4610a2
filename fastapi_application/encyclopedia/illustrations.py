"""The pictures of an entry: part of its body, each with a caption of its own there."""

from typing import Annotated

from pydantic import BaseModel, Field

from fastapi_application.crud.schemas import ImageRef, LongText, Reference, RequestSchema, Schema, unique


class Caption(BaseModel):
    """What the picture shows here."""

    caption: LongText | None = None


class IllustrationWrite(Caption, RequestSchema):
    """A picture, in a request."""

    image: ImageRef


class Illustration(Caption, Schema):
    """A picture."""

    image: Reference


Illustrations = Annotated[list[IllustrationWrite], Field(max_length=100), unique("image")]
