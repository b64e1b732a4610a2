"""Files that no image names: left by uploads that died between storage and commit, and by jobs of deleted images."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import select

from fastapi_application.core.errors import ServiceUnavailableError
from fastapi_application.core.storage import Storage, open_storage
from fastapi_application.crud.action import run_crud_action
from fastapi_application.encyclopedia.images.decoding import original_name
from fastapi_application.encyclopedia.images.files import PREFIX, file_key, folder_key, take_turn
from fastapi_application.encyclopedia.images.models import Image
from fastapi_application.jobs.registry import JobContext, JobError, periodic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

SWEEP_EVERY_S = 24 * 3600.0
GRACE_S = 3600.0
"""What the periodic sweep leaves alone: an upload may be about to name it."""
_KEY = re.compile(rf"{PREFIX}[0-9a-f]{{2}}/([0-9a-f]{{64}})/[a-z.]+")
_logger = structlog.get_logger(__name__)


@dataclass
class Sweep:
    """What a sweep has found."""

    removed: list[str] = field(default_factory=list)
    """Keys."""
    missing: list[str] = field(default_factory=list)
    """Slugs of images whose original is not there."""


async def sweep_images(sessions: async_sessionmaker[AsyncSession], storage: Storage, *, older_than_s: float = 0.0) -> Sweep:
    """Remove the files under our prefix that no image names, each image's in a transaction of its own."""
    sweep = Sweep()
    files, others = await _listed(storage, older_than_s)
    async with sessions() as session:
        known = await run_crud_action(session, _known, session)
    for sha256 in sorted(files.keys() - {image.sha256 for image in known}):
        async with sessions() as session:
            sweep.removed += await run_crud_action(session, remove_files, session, storage, sha256)
    await storage.delete(others)
    sweep.removed += others
    for image in known:
        if not await storage.exists(file_key(image.sha256, original_name(image.media_type))):
            sweep.missing.append(image.slug)
    return sweep


async def _listed(storage: Storage, older_than_s: float) -> tuple[dict[str, list[str]], list[str]]:
    """Return the files by image, where all are old enough, and what is no file of an image (half written ones)."""
    files: dict[str, list[str]] = defaultdict(list)
    young: set[str] = set()
    others: list[str] = []
    async for item in storage.walk(PREFIX):
        match = _KEY.fullmatch(item.key)
        if match is None:
            others += [item.key] if item.age_s > max(older_than_s, GRACE_S) else []
        elif item.age_s < older_than_s:
            young.add(match.group(1))
        else:
            files[match.group(1)].append(item.key)
    return {sha256: keys for sha256, keys in files.items() if sha256 not in young}, others


async def _known(session: AsyncSession) -> list[Any]:
    return list(await session.execute(select(Image.sha256, Image.slug, Image.media_type).order_by(Image.slug)))


async def remove_files(session: AsyncSession, storage: Storage, sha256: str) -> list[str]:
    """Remove the files of an image that has no row; return their keys.

    An upload of the same picture waits until this has ended, and then sees that its original is gone.
    """
    await take_turn(session, sha256)
    if await session.scalar(select(Image.id).where(Image.sha256 == sha256)) is not None:
        return []
    keys = [item.key async for item in storage.walk(folder_key(sha256))]
    await storage.delete(keys)
    return keys


@periodic("sweep_images", every_s=SWEEP_EVERY_S, timeout_s=600.0)
async def sweep_images_daily(context: JobContext, _payload: Mapping[str, Any]) -> None:
    """Sweep what is older than an hour."""
    async with open_storage(context.settings) as storage:
        try:
            sweep = await sweep_images(context.sessions(), storage, older_than_s=GRACE_S)
        except ServiceUnavailableError as error:
            raise JobError(error.code) from None
    _logger.info("images_swept", removed=len(sweep.removed), missing=sweep.missing)
