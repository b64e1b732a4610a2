"""The way of an upload: decoded, stored, and only then a row. What comes of it is an image with its file, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi_application.core.errors import ServiceUnavailableError
from fastapi_application.crud.action import run_crud_action
from fastapi_application.crud.bodies import parse_body
from fastapi_application.crud.idempotency import Answer, KeyedRequest, kept_answer, keyed_request, once
from fastapi_application.crud.responses import written_headers
from fastapi_application.encyclopedia.images.decoding import original_name
from fastapi_application.encyclopedia.images.files import ImageFiles, file_key
from fastapi_application.encyclopedia.images.schemas import ImageWrite
from fastapi_application.encyclopedia.images.service import ImageService
from fastapi_application.encyclopedia.images.uploads import name_from_file

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.core.actor import Actor
    from fastapi_application.crud.repository import Document
    from fastapi_application.encyclopedia.images.decoding import Original
    from fastapi_application.encyclopedia.images.uploads import Upload

PATH = "/api/v1/images"
OPERATION = "images_create"


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """Who sends what, and why."""

    upload: Upload
    body: ImageWrite
    actor: Actor
    comment: str | None
    keyed: KeyedRequest | None


def upload_request(upload: Upload, actor: Actor, comment: str | None, key: str | None) -> UploadRequest:
    """Check the fields of the form. An empty field is one that was left out."""
    fields: dict[str, Any] = {name: value for name, value in upload.fields.items() if value.strip()}
    body = parse_body(ImageWrite, {"name": name_from_file(upload.file_name), **fields}, ImageService.read_only_fields())
    keyed = keyed_request(actor, OPERATION, key, {"sha256": upload.sha256, "fields": upload.fields})
    return UploadRequest(upload, body, actor, comment, keyed)


async def take_upload(session: AsyncSession, files: ImageFiles, request: UploadRequest) -> Answer:
    """Make an image of an upload, or answer with the one that the same file has made before."""
    service = ImageService(session)
    kept = await run_crud_action(session, kept_answer, session, request.keyed)
    if kept is not None:
        return kept
    original = None
    if await run_crud_action(session, service.find_upload, request.upload.sha256, request.actor) is None:
        original = await _store(files, request.upload)
    return await run_crud_action(session, once, session, request.keyed, lambda: _answer(service, files, request, original))


async def _store(files: ImageFiles, upload: Upload) -> Original:
    """Put the original into the storage; without a row, it is removed by the next sweep."""
    await files.storage.check()  # before the long work: a storage that is away is told of at once
    original = await files.decoder.clean(upload.path, upload.folder)
    await files.storage.put(file_key(original.sha256, original_name(original.media_type)), original.path, original.media_type)
    return original


async def _answer(service: ImageService, files: ImageFiles, request: UploadRequest, original: Original | None) -> Answer:
    await service.try_again(request.upload.sha256)
    known = await service.find_upload(request.upload.sha256, request.actor)
    if known is not None:
        return _found(known)
    if original is None:
        raise ServiceUnavailableError("The image that came of this file has just been deleted; send it again.")
    document, is_new = await service.add(request.body, original, request.upload.sha256, files.storage, request.actor, request.comment)
    return Answer(201, document.body, _headers(document)) if is_new else _found(document)


def _found(document: Document) -> Answer:
    return Answer(200, document.body, _headers(document))


def _headers(document: Document) -> dict[str, str]:
    return written_headers(document, f"{PATH}/{document.slug}")
