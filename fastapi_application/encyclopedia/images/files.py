"""The files of images: which there are, and where they are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from fastapi_application.core.storage import Storage

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.encyclopedia.images.decoding import Decoder

PREFIX = "images/"


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """What a process needs to take and to give images."""

    storage: Storage
    decoder: Decoder


def file_key(sha256: str, name: str) -> str:
    """Return the key of a file of the image whose original has this hash."""
    return f"{folder_key(sha256)}{name}"


def folder_key(sha256: str) -> str:
    """Return what the keys of all files of an image begin with."""
    return f"{PREFIX}{sha256[:2]}/{sha256}/"


async def take_turn(session: AsyncSession, sha256: str) -> None:
    """Hold the files of an image until the transaction ends: nobody removes them while somebody else adds their row."""
    await session.execute(select(func.pg_advisory_xact_lock(int(sha256[:15], 16))))
