"""What is neither PostgreSQL nor Redis: the broker, the mail server, the store of the images, the disk."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fastapi_application.backup.errors import BackupError
from fastapi_application.backup.places import once, open_images, read_whole
from fastapi_application.doctor.findings import Finding, failed, passed, warned
from fastapi_application.jobs.registry import JobError
from fastapi_application.mail.senders import SmtpSender

if TYPE_CHECKING:
    from fastapi_application.core.config import Settings

LOW_BYTES = 2 * 2**30
FULL_BYTES = 200 * 2**20
_PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671}


async def check_broker(settings: Settings) -> list[Finding]:
    """Look whether anything listens; the jobs themselves are in PostgreSQL."""
    if settings.tasks.broker_url is None:
        return []
    url = urlsplit(settings.tasks.broker_url.get_secret_value())
    try:
        if url.scheme == "unix":
            _, writer = await asyncio.open_unix_connection(url.path)
        else:
            _, writer = await asyncio.open_connection(url.hostname, url.port or _PORTS[url.scheme])
    except OSError as error:
        detail = f"not reached: {error.strerror or type(error).__name__}"
        return [warned("broker", detail, "check TASKS__BROKER_URL; until then a job starts up to 3 seconds later")]
    writer.close()
    return [passed("broker", "something listens")]


async def check_mail(settings: Settings) -> list[Finding]:
    """Connect and log in; no mail is sent."""
    if settings.mail.host is None:
        return []
    try:
        await SmtpSender(settings.mail).check()
    except JobError as error:
        return [failed("mail", str(error), "check MAIL__*; until then mails wait in the database")]
    return [passed("mail", "the SMTP server lets us in")]


async def check_storage(settings: Settings) -> list[Finding]:
    """Write, read and remove an object."""
    key, content = f"doctor-{secrets.token_hex(8)}", secrets.token_bytes(16)
    try:
        async with open_images(settings) as images:
            await images.write(key, once(content))
            is_same = await read_whole(images, key) == content
            await images.delete(key)
    except (BackupError, OSError) as error:
        return [failed("storage", f"no object can be written, read and removed: {error}", "check STORAGE__* and the rights there")]
    if not is_same:
        return [failed("storage", f"{images.name} returns something else than what was written", "do not use it")]
    return [passed("storage", f"{images.name} can be written to")]


async def check_disk(settings: Settings) -> list[Finding]:
    """Look at the disks of the folders that this process writes to."""
    found = [_disk(folder) for folder in sorted(_folders(settings))]
    return list({finding.detail: finding for finding in found}.values())


def _folders(settings: Settings) -> set[Path]:
    folders = {Path(tempfile.gettempdir())}
    if settings.app.mode == "local":
        folders.add(settings.local.dir)
    if settings.log.file is not None:
        folders.add(settings.log.file.parent)
    if settings.storage.kind == "directory" and settings.storage.directory is not None:
        folders.add(settings.storage.directory)
    return {_existing(folder.absolute()) for folder in folders}


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def _disk(folder: Path) -> Finding:
    usage = shutil.disk_usage(folder)
    detail = f"{usage.free / 2**30:.1f} of {usage.total / 2**30:.1f} GiB are free at {folder}"
    if usage.free < FULL_BYTES:
        return failed("disk", detail, "make room now: writes will fail")
    if usage.free < LOW_BYTES:
        return warned("disk", detail, "make room")
    return passed("disk", detail)
