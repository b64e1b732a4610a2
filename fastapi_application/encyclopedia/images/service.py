"""Rules of images."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, bindparam, or_, select

from fastapi_application.core.actor import sees_unpublished
from fastapi_application.core.errors import NotFoundError, StorageUnavailableError
from fastapi_application.crud.history.changes import PublicChange, announce
from fastapi_application.crud.service import EntityService
from fastapi_application.encyclopedia.images.credit import credit_of
from fastapi_application.encyclopedia.images.decoding import original_name
from fastapi_application.encyclopedia.images.files import file_key, take_turn
from fastapi_application.encyclopedia.images.models import FAILED, PROCESSING, Image
from fastapi_application.encyclopedia.images.schemas import ImageDetail, ImageItem, ImageWrite
from fastapi_application.jobs.outbox import enqueue

if TYPE_CHECKING:
    import uuid

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.core.actor import Actor
    from fastapi_application.core.storage import Storage
    from fastapi_application.crud.repository import Document
    from fastapi_application.encyclopedia.images.decoding import Original

RENDER_JOB = "render_image"
REMOVE_JOB = "remove_image_files"


class ImageService(EntityService[Image, ImageWrite]):
    """Images. What is known of one is edited like any entry; its file comes once and never changes."""

    model = Image
    item_schema = ImageItem
    detail_schema = ImageDetail
    write_schema = ImageWrite
    state_fields = ("credit",)

    _original: Original | None = None
    _upload_sha256: str = ""

    async def find_upload(self, upload_sha256: str, actor: Actor) -> Document | None:
        """Return the image that came of the same file before."""
        return await self._read_where(actor, upload_sha256, None)

    async def try_again(self, upload_sha256: str) -> None:
        """Let the renditions of an image be made after all: an editor has sent its file once more."""
        failed = select(Image.id).where(_is_same(upload_sha256), Image.status == FAILED)
        for identifier in list(await self.session.scalars(failed)):
            await set_state(self.session, identifier, PROCESSING, [])
            await enqueue(self.session, RENDER_JOB, {"image_id": str(identifier)})

    async def add(
        self, body: ImageWrite, original: Original, upload_sha256: str, storage: Storage, actor: Actor, comment: str | None = None
    ) -> tuple[Document, bool]:
        """Add an image whose original is in the storage already; say whether it is new.

        Raises:
            StorageUnavailableError: the original is not there after all: somebody has removed it meanwhile.

        """
        await take_turn(self.session, original.sha256)
        known = await self._read_where(actor, upload_sha256, original.sha256)
        if known is not None:
            return known, False
        if not await storage.exists(file_key(original.sha256, original_name(original.media_type))):
            raise StorageUnavailableError
        self._original, self._upload_sha256 = original, upload_sha256
        return await self.create(body, actor, comment), True

    async def media_type_of(self, sha256: str, name: str, viewer: Actor | None) -> str:
        """Return the media type of a file of an image.

        Raises:
            NotFoundError: the image has no such file, or the viewer may not see it.

        """
        statement = _files_of(everything=sees_unpublished(viewer))
        row = (await self.session.execute(statement, {"sha256": sha256})).one_or_none()
        if row is None:
            raise NotFoundError
        types = {rendition["url"].rpartition("/")[2]: rendition["media_type"] for rendition in row.renditions}
        types[original_name(row.media_type)] = row.media_type
        if name not in types:
            raise NotFoundError
        return str(types[name])

    async def insert(self, body: ImageWrite, actor: Actor, identifier: uuid.UUID, comment: str | None = None) -> Image:
        """Add the row, and leave a job that makes its renditions."""
        image = await super().insert(body, actor, identifier, comment)
        await enqueue(self.session, RENDER_JOB, {"image_id": str(image.id)})
        return image

    async def before_insert(self, entity: Image, actor: Actor) -> None:  # noqa: ARG002 - signature of the hook
        """Set what the file says of itself."""
        if self._original is None:
            message = "an image needs its file"
            raise TypeError(message)
        entity.sha256, entity.upload_sha256 = self._original.sha256, self._upload_sha256
        entity.media_type, entity.bytes = self._original.media_type, self._original.bytes
        entity.width, entity.height = self._original.width, self._original.height
        entity.status, entity.renditions, entity.credit = PROCESSING, [], credit_of(entity)

    def advance(self, entity: Image) -> None:
        """Set the version, and the credit that the changed fields make."""
        super().advance(entity)
        entity.credit = credit_of(entity)

    async def delete(self, ref: str, if_match: frozenset[str], actor: Actor, comment: str | None = None) -> None:
        """Delete an image that nothing uses. Its files go after the commit, however long the storage is away."""
        image, _ = await self.repository.lock(ref, deletes=True)
        sha256 = image.sha256
        await super().delete(ref, if_match, actor, comment)
        await enqueue(self.session, REMOVE_JOB, {"sha256": sha256})

    async def _read_where(self, actor: Actor, upload_sha256: str, sha256: str | None) -> Document | None:
        same = _is_same(upload_sha256, sha256)
        identifier = await self.session.scalar(select(Image.id).where(same).order_by(Image.created_at, Image.id).limit(1))
        return None if identifier is None else await self.read(str(identifier), actor)


@cache
def _files_of(*, everything: bool) -> Select[tuple[str, list[dict[str, Any]]]]:
    """Return the statement of every request for bytes: building it anew would take longer than running it."""
    found = select(Image.media_type, Image.renditions).where(Image.sha256 == bindparam("sha256"))
    return found if everything else found.where(Image.is_public(Image))


def _is_same(upload_sha256: str, sha256: str | None = None) -> ColumnElement[bool]:
    """An original that somebody downloads and sends again is the same image."""
    return or_(Image.upload_sha256 == upload_sha256, Image.sha256 == (sha256 or upload_sha256))


async def set_state(
    session: AsyncSession, identifier: uuid.UUID, status: str, renditions: list[dict[str, Any]], problem: str | None = None
) -> None:
    """Say how far an image is. That is no change of the entry: its version stays, and no editor's If-Match fails for it."""
    image = await session.scalar(
        select(Image).where(Image.id == identifier).with_for_update(key_share=True).execution_options(populate_existing=True)
    )
    if image is None:
        return
    image.status, image.renditions, image.problem = status, renditions, problem
    await session.flush()
    if Image.is_readable(image):
        announce(session, PublicChange(Image.__kind__, image.id, image.slug, "update", image.version))
