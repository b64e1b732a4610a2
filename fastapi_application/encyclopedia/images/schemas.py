"""Bodies of images."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema
from sqlalchemy import ColumnElement, case, literal

from fastapi_application.crud.read_query import Computed, ReverseCount, ReverseList
from fastapi_application.crud.schemas import (
    ArticleReference,
    EntityItem,
    LongText,
    Name,
    Reference,
    Schema,
    WebAddress,
    WriteSchema,
)
from fastapi_application.encyclopedia.aircraft.models import AircraftImage
from fastapi_application.encyclopedia.articles.models import ArticleImage
from fastapi_application.encyclopedia.images.decoding import MEDIA_TYPES, original_name
from fastapi_application.encyclopedia.images.licences import Licence

MEDIA_PATH = "/media"


class ImageFields(BaseModel):
    """What requests and responses share. The public sees an image when alt, licence, author and source_url are known."""

    name: Name
    alt: Annotated[LongText | None, Field(description="What it shows, for those who do not see it")] = None
    caption: LongText | None = None
    licence: Licence | None = None
    author: Name | None = None
    author_url: WebAddress | None = None
    source_url: WebAddress | None = None


class ImageWrite(ImageFields, WriteSchema):
    """The writable fields of an image. Its file never changes."""


class ImageUpload(ImageWrite):
    """The parts of an upload. Fields of the image may come with its file, or later."""

    file: Annotated[bytes, WithJsonSchema({"type": "string", "format": "binary", "description": "JPEG, PNG, WebP or AVIF, at most 20 MiB"})]
    name: Annotated[Name | None, Field(description="From the file's name where absent")] = None  # type: ignore[assignment]


class Rendition(Schema):
    """A smaller copy."""

    name: Annotated[Literal["thumb", "medium", "large"], Field(description="At most 320, 960 or 1920 pixels on a side")]
    width: int
    height: int
    media_type: str
    url: str


class Credit(Schema):
    """What a page must show beside the image."""

    text: str
    html: str


def _url(entity: Any, _everything: bool) -> ColumnElement[str]:
    """Return the address of the original: it says what the bytes are, so they may be kept for ever."""
    names = {media_type: original_name(media_type) for media_type in MEDIA_TYPES.values()}
    address: ColumnElement[str] = literal(f"{MEDIA_PATH}/").concat(entity.sha256).concat("/").concat(case(names, value=entity.media_type))
    return address


class ImageItem(ImageFields, EntityItem):
    """An image in a list."""

    status: Annotated[Literal["processing", "ready", "failed"], Field(description="Whether the renditions are made")]
    problem: Annotated[
        Literal["not_decodable", "given_up"] | None,
        Field(description="Why there are no renditions, if `failed`; the same file sent again is another try"),
    ]
    sha256: Annotated[str, Field(description="Of the original's bytes")]
    media_type: str
    width: int
    height: int
    bytes: int
    url: Annotated[str, Computed(_url), Field(description="Of the original")]
    renditions: list[Rendition]
    credit: Credit | None


class ImageDetail(ImageItem):
    """An image."""

    aircraft: Annotated[list[Reference], ReverseList(AircraftImage, "image")]
    aircraft_count: Annotated[int, ReverseCount(AircraftImage, "image")]
    articles: Annotated[list[ArticleReference], ReverseList(ArticleImage, "image")]
    articles_count: Annotated[int, ReverseCount(ArticleImage, "image")]
