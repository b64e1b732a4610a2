"""Places of objects: a directory, or a prefix of a bucket. A backup goes to one, and images lie in one."""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from fastapi_application.backup.errors import BackupError, MissingObjectError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi_application.core.config import Settings, StorageSettings

CHUNK_BYTES = 1024 * 1024
S3_SCHEME = "s3://"


class Place(Protocol):
    """Holds objects under keys such as `ab/cdef.jpg`. Nobody needs more memory than a few chunks."""

    name: str
    """For sentences."""

    def walk(self) -> AsyncIterator[str]:
        """Walk over all keys, in any order."""

    def read(self, key: str) -> AsyncIterator[bytes]:
        """Stream an object.

        Raises:
            MissingObjectError: there is none.

        """

    async def write(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Store a stream: as a whole or, when it raises, not at all."""

    async def delete(self, key: str) -> None:
        """Remove an object, if it is there."""


class DirectoryPlace:
    """A directory. Files appear under their names only when they are complete and on the disk."""

    def __init__(self, root: Path, *, private: bool = True) -> None:
        """Create nothing yet. What is private, only its owner may read."""
        self.name = str(root)
        self._root = root
        self._modes = (0o700, 0o600) if private else (0o755, 0o644)

    async def walk(self) -> AsyncIterator[str]:
        """See `Place`. Files that are being written have names that begin with a dot."""
        for folder, _, files in await asyncio.to_thread(lambda: list(self._root.walk())):
            for name in files:
                if not name.startswith("."):
                    yield (folder / name).relative_to(self._root).as_posix()

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """See `Place`."""
        try:
            file = await asyncio.to_thread(self._path(key).open, "rb")
        except FileNotFoundError:
            raise MissingObjectError(f"There is no {key} in {self.name}.") from None
        with file:
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield chunk

    async def write(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """See `Place`."""
        path, (directory_mode, file_mode) = self._path(key), self._modes
        self._root.mkdir(mode=directory_mode, parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{secrets.token_hex(8)}.partial")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file_mode), "wb") as file:
                async for chunk in chunks:
                    await asyncio.to_thread(file.write, chunk)
                file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())
            draft.rename(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        await asyncio.to_thread(_keep_name, path.parent)

    async def delete(self, key: str) -> None:
        """See `Place`."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        pure = PurePosixPath(key)
        if not pure.parts or pure.is_absolute() or ".." in pure.parts or "\0" in key:
            raise BackupError(f"{key!r} is not the name of an object.")
        return self._root / pure


def _keep_name(directory: Path) -> None:
    """A renamed file survives a loss of power only when its directory is on the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@asynccontextmanager
async def open_place(address: str, settings: Settings) -> AsyncIterator[Place]:
    """Open a directory, or `s3://bucket/prefix`.

    Raises:
        BackupError: the address is unusable.

    """
    if not address.startswith(S3_SCHEME):
        yield DirectoryPlace(Path(address))
        return
    bucket, _, prefix = address.removeprefix(S3_SCHEME).partition("/")
    if not bucket:
        raise BackupError(f"{address} names no bucket: write s3://bucket/prefix.")
    async with _open_bucket(bucket, prefix.strip("/"), settings.storage) as place:
        yield place


@asynccontextmanager
async def open_images(settings: Settings) -> AsyncIterator[Place]:
    """Open the store of the images."""
    storage = settings.storage
    if storage.kind == "directory":
        yield DirectoryPlace(storage.directory or settings.local.dir / "media", private=False)
        return
    async with _open_bucket(storage.bucket, "", storage) as place:
        yield place


def _open_bucket(bucket: str, prefix: str, storage: StorageSettings) -> AbstractAsyncContextManager[Place]:
    from fastapi_application.backup.s3 import open_bucket  # noqa: PLC0415 - takes a second, and few need it

    return open_bucket(bucket, prefix, storage)


async def read_whole(place: Place, key: str) -> bytes:
    """Read a small object."""
    return b"".join([chunk async for chunk in place.read(key)])


async def once(data: bytes) -> AsyncIterator[bytes]:
    """Stream what is in memory."""
    yield data
