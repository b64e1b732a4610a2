"""The pictures of the starter encyclopedia: files of the project, clean already, so stored as they are."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any

from fastapi_application.encyclopedia.images.decoding import Original, original_name
from fastapi_application.encyclopedia.images.files import file_key
from fastapi_application.encyclopedia.images.service import ImageService
from fastapi_application.starter.documents import DATA, load_records

if TYPE_CHECKING:
    from fastapi_application.core.actor import Actor
    from fastapi_application.core.storage import Storage
    from fastapi_application.encyclopedia.images.models import Image

FOLDER = DATA / "images"
_JPEG = "image/jpeg"


@cache
def originals() -> dict[str, Original]:
    """Return the files by the slug of their image."""
    sizes = {row["file"]: row for row in load_records("images/manifest")}
    return {row["slug"]: _original(sizes[row["file"]]) for row in load_records("images")}


def _original(row: dict[str, Any]) -> Original:
    path = FOLDER / row["file"]
    content = path.read_bytes()
    return Original(path, hashlib.sha256(content).hexdigest(), _JPEG, row["width"], row["height"], len(content))


async def store_originals(storage: Storage) -> None:
    """Put the files into the storage, before there are rows that name them."""
    for original in originals().values():
        await storage.put(file_key(original.sha256, original_name(_JPEG)), original.path, _JPEG)


class StarterImages(ImageService):
    """The images of the starter encyclopedia."""

    async def before_insert(self, entity: Image, actor: Actor) -> None:
        """Name the file of this image."""
        self._original = originals()[entity.slug]
        self._upload_sha256 = self._original.sha256
        await super().before_insert(entity, actor)
