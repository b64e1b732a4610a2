"""`backup` and `restore`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi_application.backup.backup import Backup
from fastapi_application.backup.errors import BackupError
from fastapi_application.backup.places import open_images, open_place
from fastapi_application.backup.restore import Restore
from fastapi_application.backup.sealing import read_key
from fastapi_application.cli.data import end_what_is_kept, wait_for_workers
from fastapi_application.cli.database import database_session, refuse_pooler
from fastapi_application.cli.environment import environment
from fastapi_application.cli.errors import CommandError
from fastapi_application.core.schema_version import SchemaVersions

if TYPE_CHECKING:
    import argparse

    from fastapi_application.backup.manifest import Manifest
    from fastapi_application.core.config import Settings


def backup(arguments: argparse.Namespace) -> int:
    """Make a backup."""
    try:
        key = read_key(arguments.key_file) if arguments.key_file else None
        with environment(redis=False) as settings:
            refuse_pooler(settings)
            manifest = asyncio.run(_backup(settings, arguments.place, key))
    except BackupError as error:
        raise CommandError(str(error)) from None
    print(f"Backed up {manifest.summary()}, {'encrypted' if key else 'not encrypted'}.")
    return 0


def restore(arguments: argparse.Namespace) -> int:
    """Bring a backup back."""
    try:
        key = read_key(arguments.key_file) if arguments.key_file else None
        with environment(redis=False) as settings:
            refuse_pooler(settings)
            manifest = asyncio.run(_restore(settings, arguments.place, key, force=arguments.force))
            if asyncio.run(end_what_is_kept(settings)):
                wait_for_workers()
    except BackupError as error:
        raise CommandError(str(error)) from None
    print(f"Restored {manifest.summary()}, as of {manifest.created_at:%Y-%m-%d %H:%M:%S} UTC; every table has its rows.")
    print(_what_next(set(manifest.schema_revisions)), end="")
    return 0


async def _backup(settings: Settings, place: str, key: bytes | None) -> Manifest:
    async with open_place(place, settings) as target, open_images(settings) as images, database_session(settings) as session:
        return await Backup(target, key).make(session, settings.db.for_commands(), images)


async def _restore(settings: Settings, place: str, key: bytes | None, *, force: bool) -> Manifest:
    async with open_place(place, settings) as source, open_images(settings) as images, database_session(settings) as session:
        return await Restore(source, key).run(session, settings.db.for_commands(), images, force=force)


def _what_next(revisions: set[str]) -> str:
    versions = SchemaVersions.load()
    if revisions == versions.heads:
        return ""
    if revisions <= versions.known:
        return "Its schema is older than this version's: run `main.py migrate`.\n"
    return "Its schema is of a newer version of the application: install that one.\n"
