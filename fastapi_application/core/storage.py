"""Where the files of images are: a folder, or a bucket on an S3 server. Both keep a key's bytes as a whole, or not at all."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import time
import uuid
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

import structlog

from fastapi_application.core.errors import StorageUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from fastapi_application.core.config import Settings

CHUNK_BYTES = 256 * 1024
_DRAFT = ".draft-"
_TRIES = 5
_logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that has been opened: how long it is, and its bytes, to be read once."""

    size: int
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Listed:
    """A file in the list of all files; `age_s` is in seconds since it was written last."""

    key: str
    age_s: float


class Storage(Protocol):
    """Files by key; a key is a relative path of lower-case ASCII. Every method answers or fails within seconds.

    All raise `StorageUnavailableError` when the other side is away, too slow, or refuses.
    """

    async def check(self) -> None:
        """Find out quickly whether the other side answers at all."""

    async def put(self, key: str, source: Path, media_type: str) -> None:
        """Keep a file; one with the same key is replaced."""

    async def exists(self, key: str) -> bool:
        """Whether there is such a file."""

    async def open(self, key: str) -> StoredFile | None:
        """Open a file for reading; None if there is none."""

    async def delete(self, keys: list[str]) -> None:
        """Delete files; those that are not there are none to delete."""

    def walk(self, prefix: str = "") -> AsyncIterator[Listed]:
        """Walk over all files whose keys begin so."""


@asynccontextmanager
async def open_storage(settings: Settings) -> AsyncIterator[Storage]:
    """Choose by the settings. Nothing connects yet."""
    if settings.storage.kind == "directory":
        yield DirectoryStorage(settings.storage.directory or settings.local.dir / "media")
        return
    # Costs a second to import, and a folder needs nothing of it.
    from fastapi_application.core.s3_storage import open_s3  # noqa: PLC0415

    async with open_s3(settings.storage) as storage:
        yield storage


def unavailable(error: BaseException) -> StorageUnavailableError:
    """Log what happened, without its text, which may hold addresses and keys; return what the client is told."""
    _logger.warning("storage_unavailable", error=type(error).__name__)
    return StorageUnavailableError()


class DirectoryStorage:
    """Files in a folder of this machine. Disks are read and written in threads."""

    def __init__(self, root: Path) -> None:
        """Create nothing yet."""
        self.root = root

    async def check(self) -> None:
        """See `Storage`."""
        await self._run(self.root.mkdir, mode=0o750, parents=True, exist_ok=True)

    async def put(self, key: str, source: Path, media_type: str) -> None:  # noqa: ARG002 - the name's ending says it
        """See `Storage`. A file that is half written has another name."""
        await self._run(self._put, self._path(key), source)

    async def exists(self, key: str) -> bool:
        """See `Storage`."""
        return await self._run(self._path(key).is_file)

    async def open(self, key: str) -> StoredFile | None:
        """See `Storage`."""
        try:
            file = await self._run(self._path(key).open, "rb")
        except FileNotFoundError:
            return None
        return StoredFile(os.fstat(file.fileno()).st_size, _chunks(file))

    async def delete(self, keys: list[str]) -> None:
        """See `Storage`. Folders that become empty go too."""
        for key in keys:
            await self._run(self._delete, self._path(key))

    async def walk(self, prefix: str = "") -> AsyncIterator[Listed]:
        """See `Storage`. What a killed process has left half written is listed as well, under its other name."""
        for listed in await self._run(self._list, prefix):
            yield listed

    def _path(self, key: str) -> Path:
        path = self.root.joinpath(key)
        if not path.is_relative_to(self.root) or ".." in path.parts:
            message = "a key leads out of the storage"
            raise ValueError(message)
        return path

    @staticmethod
    def _put(path: Path, source: Path) -> None:
        draft, target = _new_draft(path.parent)
        try:
            with target, source.open("rb") as file:
                shutil.copyfileobj(file, target, CHUNK_BYTES)
                target.flush()
                os.fsync(target.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        _sync(path.parent)

    def _delete(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self.root:
                return
            with suppress(OSError):  # not empty, or gone already
                folder.rmdir()

    def _list(self, prefix: str) -> list[Listed]:
        now, found = time.time(), []
        for folder, _, names in self._path(prefix.rpartition("/")[0]).walk():
            for name in names:
                with suppress(FileNotFoundError):
                    path = folder / name
                    found.append(Listed(path.relative_to(self.root).as_posix(), now - path.stat().st_mtime))
        return [item for item in found if item.key.startswith(prefix)]

    @staticmethod
    async def _run[**P, R](function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await asyncio.to_thread(function, *args, **kwargs)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise unavailable(error) from error


def _new_draft(folder: Path) -> tuple[Path, BinaryIO]:
    """Open a new file in a folder, which may be removed as empty until the file is there."""
    draft = folder / f"{_DRAFT}{uuid.uuid4().hex}"
    for _ in range(_TRIES):
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            return draft, draft.open("xb")
    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))


def _sync(folder: Path) -> None:
    """A rename survives a power cut only when its folder is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
    finally:
        file.close()
