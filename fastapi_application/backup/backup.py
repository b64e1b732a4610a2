"""Makes a backup."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from fastapi_application.backup.digests import table_digests
from fastapi_application.backup.errors import BackupError, MissingObjectError
from fastapi_application.backup.manifest import DUMP, FORMAT, IMAGES, NAME, SEALED, Manifest, Part
from fastapi_application.backup.places import Place, once
from fastapi_application.backup.programs import Programs, find_programs, libpq_environment, running
from fastapi_application.backup.sealing import seal
from fastapi_application.backup.snapshot import Snapshot, schema_revisions, take_snapshot
from fastapi_application.core.version import VERSION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.core.config import DatabaseSettings

_logger = structlog.get_logger(__name__)


class Backup:
    """One backup on its way to a place."""

    def __init__(self, target: Place, key: bytes | None) -> None:
        """Begin with nothing; without a key the backup is not encrypted."""
        self._target = target
        self._key = key
        self._parts: dict[str, Part] = {}

    async def make(self, session: AsyncSession, settings: DatabaseSettings, images: Place) -> Manifest:
        """Copy images and database; write the manifest when everything else is there.

        Images never change under their keys, so they are copied twice: most of them before the moment of the snapshot, and
        after it those that came meanwhile. What the snapshot refers to is then in the backup.

        Raises:
            BackupError: one sentence says why.

        """
        await self._refuse_a_complete_one()
        await self._copy(images)
        moment, taken_at = await take_snapshot(session), datetime.now(UTC)
        await self._copy(images)
        programs = await find_programs(moment.server_major)
        await self._store(DUMP, _dump(programs, settings, moment))
        manifest = Manifest(
            format=FORMAT,
            application=VERSION,
            created_at=taken_at,
            schema_revisions=await schema_revisions(session),
            postgresql=moment.server_major,
            dumped_by=programs.major,
            tables=await table_digests(session),
            parts=[part for _, part in sorted(self._parts.items())],
        )
        await self._write(NAME, once(manifest.model_dump_json(indent=1).encode()))
        return manifest

    async def _refuse_a_complete_one(self) -> None:
        async for key in self._target.walk():
            if key in {NAME, NAME + SEALED}:
                raise BackupError(f"{self._target.name} holds a backup already: name another place.")

    async def _copy(self, images: Place) -> None:
        async for key in images.walk():
            if IMAGES + key not in self._parts:
                try:
                    await self._store(IMAGES + key, images.read(key))
                except MissingObjectError:  # deleted since it was listed
                    _logger.info("image_deleted_meanwhile", key=key)

    async def _store(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        digest, size = hashlib.sha256(), 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            async for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                yield chunk

        await self._write(name, counted())
        self._parts[name] = Part(name=name, size=size, sha256=digest.hexdigest())

    async def _write(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        if self._key is None:
            await self._target.write(name, chunks)
        else:
            await self._target.write(name + SEALED, seal(chunks, self._key, name))


async def _dump(programs: Programs, settings: DatabaseSettings, moment: Snapshot) -> AsyncIterator[bytes]:
    # Without owners, privileges and comments: the role that restores need be neither of the same name nor a superuser.
    options = ("--format=custom", f"--snapshot={moment.name}", "--no-owner", "--no-privileges", "--no-comments", "--no-password")
    async with running(programs["pg_dump"], *options, env=libpq_environment(settings)) as process:
        async for chunk in process.output():
            yield chunk
