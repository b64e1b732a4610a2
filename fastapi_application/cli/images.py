"""`sweep-images`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import async_sessionmaker

import fastapi_application.api.api_v1  # noqa: F401 - loads every model
from fastapi_application.cli.database import database_session
from fastapi_application.cli.environment import environment
from fastapi_application.core.storage import open_storage
from fastapi_application.encyclopedia.images import sweep

if TYPE_CHECKING:
    import argparse

    from fastapi_application.core.config import Settings


def sweep_images(_arguments: argparse.Namespace) -> int:
    """Sweep and say what was found; 1 if an image lacks its file."""
    with environment(redis=False) as settings:
        found = asyncio.run(_sweep(settings))
    print(f"Files that no image names, removed: {len(found.removed)}.")
    for slug in found.missing:
        print(f"The original is missing: {slug}")
    return 1 if found.missing else 0


async def _sweep(settings: Settings) -> sweep.Sweep:
    async with database_session(settings) as session, open_storage(settings) as storage:
        return await sweep.sweep_images(async_sessionmaker(session.bind, expire_on_commit=False), storage)
