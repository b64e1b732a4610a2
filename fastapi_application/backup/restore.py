"""Brings a backup back: checked before anything is touched, in one transaction, and checked again before the commit."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi_application.backup.digests import check_of, table_names
from fastapi_application.backup.errors import BackupError, MissingObjectError
from fastapi_application.backup.manifest import DUMP, IMAGES, NAME, SEALED, Manifest, Part, parse_manifest
from fastapi_application.backup.places import Place, read_whole
from fastapi_application.backup.programs import Programs, Running, find_programs, libpq_environment, running
from fastapi_application.backup.sealing import unseal
from fastapi_application.backup.snapshot import server_major
from fastapi_application.crud.action import run_read_action

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.core.config import DatabaseSettings

_BEGIN = b"""
BEGIN;
SET lock_timeout = '30s';
"""
_EMPTY = b"""
DO $empty$
DECLARE name text;
BEGIN
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
END $empty$;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""
_PSQL = ("--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--file=-")
_PG_RESTORE = ("--file=-", "--no-owner", "--no-privileges", "--exit-on-error")


@dataclass(frozen=True, slots=True)
class _Target:
    """The database to fill, and what can fill it."""

    programs: Programs
    is_empty: bool


class Restore:
    """A backup that lies in a place."""

    def __init__(self, source: Place, key: bytes | None) -> None:
        """Read nothing yet; an encrypted backup needs its key."""
        self._source = source
        self._key = key

    async def run(self, session: AsyncSession, settings: DatabaseSettings, images: Place, *, force: bool) -> Manifest:
        """Check the backup and the target, then write images and database.

        The database is restored and compared in one transaction: when it fails, what was there before is still there.

        Args:
            session: on the database to fill.
            settings: the same database, for PostgreSQL's programs.
            images: the store of the images; those that it has beside stay.
            force: replace what the database holds.

        Raises:
            BackupError: one sentence says why.

        """
        manifest = await self._manifest()
        target = await self._check_target(session, manifest, force=force)
        for part in manifest.parts:
            async for _ in self._content(part):
                pass
        for part in manifest.images:
            await images.write(part.name.removeprefix(IMAGES), self._content(part))
        await self._restore_database(settings, manifest, target)
        return manifest

    async def _manifest(self) -> Manifest:
        try:
            data = await read_whole(self._source, NAME)
        except MissingObjectError:
            data = await self._sealed_manifest()
        else:
            self._key = None  # a key that is not needed is no mistake
        return parse_manifest(data, self._source.name)

    async def _sealed_manifest(self) -> bytes:
        sealed = self._source.read(NAME + SEALED)
        try:
            first = await anext(sealed, b"")
        except MissingObjectError:
            raise BackupError(f"There is no complete backup in {self._source.name}: it has no manifest.") from None
        if self._key is None:
            raise BackupError(f"The backup in {self._source.name} is encrypted: name its key with --key-file.")

        async def whole() -> AsyncIterator[bytes]:
            yield first
            async for chunk in sealed:
                yield chunk

        return b"".join([chunk async for chunk in unseal(whole(), self._key, NAME)])

    async def _check_target(self, session: AsyncSession, manifest: Manifest, *, force: bool) -> _Target:
        # Over before it begins: nothing of ours may be in the way of what psql does.
        major = await run_read_action(session, server_major, session)
        is_empty = not await run_read_action(session, table_names, session)
        newest = manifest.postgresql
        if major < newest:
            raise BackupError(f"The backup is of PostgreSQL {newest} and this server is {major}: restore into {newest} or newer.")
        if not (is_empty or force):
            raise BackupError("The database has tables already: restore into an empty one, or replace all that it holds with --force.")
        return _Target(await find_programs(max(major, manifest.dumped_by)), is_empty)

    async def _content(self, part: Part) -> AsyncIterator[bytes]:
        """Stream a part, and fail at its end unless it is what the manifest says."""
        digest, size = hashlib.sha256(), 0
        try:
            async for chunk in self._stored(part.name):
                digest.update(chunk)
                size += len(chunk)
                yield chunk
        except MissingObjectError as error:
            raise BackupError(f"The backup is damaged: {error}") from None
        if (size, digest.hexdigest()) != (part.size, part.sha256):
            raise BackupError(f"The backup is damaged: {part.name} in {self._source.name} is not what was backed up.")

    def _stored(self, name: str) -> AsyncIterator[bytes]:
        if self._key is None:
            return self._source.read(name)
        return unseal(self._source.read(name + SEALED), self._key, name)

    async def _restore_database(self, settings: DatabaseSettings, manifest: Manifest, target: _Target) -> None:
        (dump,) = [part for part in manifest.parts if part.name == DUMP]
        env = libpq_environment(settings)
        begin = _BEGIN if target.is_empty else _BEGIN + _EMPTY
        end = f"\nANALYZE;\n{check_of(manifest.tables)}\nCOMMIT;\n".encode()
        async with running(target.programs["psql"], *_PSQL, env=env, has_input=True) as psql:
            async with aclosing(self._statements(target.programs, env, dump)) as statements:
                # Without its last words psql ends without a commit.
                if await psql.write(begin) and await psql.write_all(statements):
                    await psql.write(end)
            psql.close_input()
            await psql.succeed()

    async def _statements(self, programs: Programs, env: dict[str, str], dump: Part) -> AsyncGenerator[bytes]:
        """Let pg_restore turn the dump into statements; what is wrong with either is raised before the end."""
        async with running(programs["pg_restore"], *_PG_RESTORE, env=env, has_input=True) as process:
            feeding = asyncio.create_task(_feed(process, self._content(dump)))
            try:
                async for chunk in process.output():
                    yield chunk
                await feeding
            finally:
                feeding.cancel()
                await asyncio.wait([feeding])


async def _feed(process: Running, chunks: AsyncIterator[bytes]) -> None:
    try:
        await process.write_all(chunks)
    finally:
        process.close_input()
