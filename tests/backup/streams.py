"""Streams for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def stream(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    """Stream bytes in chunks of a size."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def gather(chunks: AsyncIterator[bytes]) -> bytes:
    """Read a stream to its end."""
    return b"".join([chunk async for chunk in chunks])
