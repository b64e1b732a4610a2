"""The jobs of images: their renditions are made, and the files of deleted ones removed."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from fastapi_application.core.errors import ServiceUnavailableError, ValidationFailedError
from fastapi_application.core.storage import open_storage
from fastapi_application.encyclopedia.images.decoding import Decoder, RenditionFile, original_name
from fastapi_application.encyclopedia.images.files import ImageFiles, file_key
from fastapi_application.encyclopedia.images.models import FAILED, GIVEN_UP, NOT_DECODABLE, READY, Image
from fastapi_application.encyclopedia.images.schemas import MEDIA_PATH
from fastapi_application.encyclopedia.images.service import REMOVE_JOB, RENDER_JOB, set_state
from fastapi_application.encyclopedia.images.sweep import remove_files
from fastapi_application.jobs.registry import JobContext, JobError, job

if TYPE_CHECKING:
    from collections.abc import Mapping


RENDER_TIMEOUT_S = 180.0
_logger = structlog.get_logger(__name__)
# One for all jobs of a worker: they take turns.
_decoder = Decoder()


async def give_up(context: JobContext, payload: Mapping[str, Any]) -> None:
    """Tell editors that nobody tries any more: what the operator reads of it is with the job."""
    image = await context.session.get(Image, uuid.UUID(payload["image_id"]))
    if image is not None and image.status != READY:
        await set_state(context.session, image.id, FAILED, [], GIVEN_UP)


@job(RENDER_JOB, timeout_s=RENDER_TIMEOUT_S, given_up=give_up)
async def render_image(context: JobContext, payload: Mapping[str, Any]) -> None:
    """Make the renditions of an image, unless it is gone."""
    image = await context.session.get(Image, uuid.UUID(payload["image_id"]))
    if image is None or image.status == READY:
        return
    async with open_storage(context.settings) as storage:
        try:
            renditions = await make_renditions(ImageFiles(storage, _decoder), image.sha256, image.media_type)
        except ValidationFailedError as error:  # it was decoded once: this is for the operator to look at
            _logger.exception("image_not_rendered", image=str(image.id), reason=[item.code for item in error.errors])
            await set_state(context.session, image.id, FAILED, [], NOT_DECODABLE)
        except ServiceUnavailableError as error:
            raise JobError(error.code) from None
        else:
            await set_state(context.session, image.id, READY, renditions)


async def make_renditions(files: ImageFiles, sha256: str, media_type: str) -> list[dict[str, Any]]:
    """Make the renditions of an original and put them into the storage; return what an image shows of them."""
    with tempfile.TemporaryDirectory(prefix="frankenjet-render-") as name:
        folder = Path(name)
        source = folder / "source"
        await _fetch(files, file_key(sha256, original_name(media_type)), source)
        made = await files.decoder.render(source, folder)
        for rendition in made:
            await files.storage.put(file_key(sha256, rendition.file_name), rendition.path, rendition.media_type)
    return [_shown(rendition, sha256) for rendition in reversed(made)]


async def _fetch(files: ImageFiles, key: str, target: Path) -> None:
    stored = await files.storage.open(key)
    if stored is None:
        raise JobError("the original is not in the storage")
    with target.open("wb") as file:
        async for chunk in stored.chunks:
            file.write(chunk)


def _shown(rendition: RenditionFile, sha256: str) -> dict[str, Any]:
    return {
        "name": rendition.name,
        "width": rendition.width,
        "height": rendition.height,
        "media_type": rendition.media_type,
        "url": f"{MEDIA_PATH}/{sha256}/{rendition.file_name}",
    }


@job(REMOVE_JOB)
async def remove_image_files(context: JobContext, payload: Mapping[str, Any]) -> None:
    """Remove the files of a deleted image, unless the same picture has come again."""
    async with open_storage(context.settings) as storage:
        try:
            await remove_files(context.session, storage, payload["sha256"])
        except ServiceUnavailableError as error:
            raise JobError(error.code) from None
