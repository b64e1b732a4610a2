"""Pictures for tests: made when they are needed, each different from every other."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from PIL import Image, ImageCms
from PIL.ExifTags import GPS, IFD, Base

from fastapi_application.core.actor import SYSTEM
from fastapi_application.crud.action import run_crud_action
from fastapi_application.encyclopedia.images.decoding import Original
from fastapi_application.encyclopedia.images.schemas import ImageWrite
from fastapi_application.encyclopedia.images.service import ImageService
from tests.support.application import body

if TYPE_CHECKING:
    import httpx

    from tests.support.application import Application

IMAGES = "/api/v1/images"
CREDIT = {"alt": "What it shows.", "licence": "CC-BY-SA-4.0", "author": "Jane Doe", "source_url": "https://example.org/photo"}
RED, BLUE = (255, 0, 0), (0, 0, 255)
COPYRIGHT = "(c) Jane Doe"
SECRETS = (b"SERIAL-4711", b"JANES-PHONE", b"XMP-SECRET", b"COMMENT-SECRET", b"THUMBNAIL-SECRET", b"2020:02:03")
_numbers = itertools.count(1)


def picture(form: str = "PNG", size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    """Return a small picture that nobody has sent before."""
    image = Image.new("RGB", size, BLUE)
    for x, value in enumerate(hashlib.sha256(f"{os.getpid()} {next(_numbers)}".encode()).digest()[: size[0]]):
        image.paste((value, 255 - value, 0), (x, 0, x + 1, size[1] // 2))
    return encoded(image, form, **options)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """Return the bytes of a file."""
    target = io.BytesIO()
    image.save(target, form, **({"lossless": True} if form == "WEBP" else {}), **options)
    return target.getvalue()


def opened(content: bytes) -> Image.Image:
    """Return the picture in a file."""
    return Image.open(io.BytesIO(content))


@cache
def srgb() -> bytes:
    """Return a colour profile; it holds the time at which it was made."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def photograph(form: str = "JPEG", *, wide: int = 1200, high: int = 800) -> bytes:
    """Return what a telephone sends that was held upright: lying on its side, with everything that it knows of its owner.

    Upright its top is red and the rest blue.
    """
    image = Image.new("RGB", (wide, high), BLUE)
    image.paste(RED, (0, 0, wide // 4, high))
    image.putpixel((wide - 1, high - 1), tuple(next(_numbers).to_bytes(3)))
    exif = Image.Exif()
    exif[Base.Orientation], exif[Base.Copyright], exif[Base.Artist] = 6, COPYRIGHT, "JANES-PHONE"
    exif[Base.Model], exif[Base.DateTime] = "JANES-PHONE", "2020:02:03 04:05:06"
    exif.get_ifd(IFD.Exif)[Base.BodySerialNumber] = "SERIAL-4711"
    exif.get_ifd(IFD.Exif)[Base.MakerNote] = b"THUMBNAIL-SECRET"
    exif.get_ifd(IFD.GPSInfo).update({GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (55.0, 45.0, 21.0), GPS.GPSDateStamp: "2020:02:03"})
    options: dict[str, Any] = {"exif": exif, "icc_profile": srgb(), "xmp": b"<x:xmpmeta>XMP-SECRET</x:xmpmeta>"}
    if form == "JPEG":
        options |= {"comment": b"COMMENT-SECRET", "quality": 95}
    return encoded(image, form, **options)


def huge_png(side: int) -> bytes:
    """Return a PNG of one colour with `side` pixels on each side, in a few kilobytes."""
    row = b"\0" * (1 + side // 8)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part)) for name, part in chunks
    )


async def upload(client: httpx.AsyncClient, content: bytes, file_name: str = "photo.jpg", **fields: str) -> httpx.Response:
    """Send a file; `fields` go with it."""
    return await client.post(IMAGES, files={"file": (file_name, content)}, data=fields)


async def uploaded(client: httpx.AsyncClient, content: bytes | None = None, /, **fields: str) -> dict[str, Any]:
    """Send a file, and return the image that came of it."""
    shown: dict[str, Any] = body(await upload(client, content or picture(), **fields), 201)
    return shown


async def change(client: httpx.AsyncClient, image: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Change what is known of an image."""
    path = f"{IMAGES}/{image['id']}"
    etag = (await client.get(path)).headers["etag"]
    shown: dict[str, Any] = body(await client.patch(path, json=fields, headers={"If-Match": etag}))
    return shown


class _NoFiles:
    """A storage that has whatever it is asked for."""

    async def exists(self, _key: str) -> bool:
        return True


async def image_row(application: Application, **fields: Any) -> dict[str, Any]:
    """Add an image without files, for tests that are about its entry alone."""
    number = next(_numbers)
    sha256 = hashlib.sha256(f"row {os.getpid()} {number}".encode()).hexdigest()
    original = Original(Path("/nowhere"), sha256, "image/png", 40, 30, 120)
    document = ImageWrite.model_validate({"name": f"Image {number}", **CREDIT, **fields})
    async with application.fastapi.state.session_factory() as session:
        add = ImageService(session).add
        made, _ = await run_crud_action(session, add, document, original, sha256, _NoFiles(), SYSTEM)  # type: ignore[arg-type]
    shown: dict[str, Any] = orjson.loads(made.body)
    return shown
