"""What a process needs for images that are sent to it: pieces of them, never the whole, and never the pixels."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi_application.core.config import StorageSettings
from fastapi_application.core.limits import MAX_IMAGE_BYTES
from tests.images.conftest import open_place
from tests.support.images import huge_png, photograph, picture, upload

if TYPE_CHECKING:
    from fastapi_application.core.actor import Role

ALLOWED_KB = 100 * 1024


def resident_kb() -> int:
    """Return how much memory this process holds."""
    match = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match
    return int(match.group(1))


async def test_no_upload_makes_the_process_grow_by_its_pixels(database: str, tokens: dict[Role, str], tmp_path: Path) -> None:
    # As pixels: 1200 MB, 108 MB, and a file as large as is allowed, four times at once.
    sent = [huge_png(20_000), photograph(wide=7200, high=5000), *(picture("JPEG").ljust(MAX_IMAGE_BYTES, b"\0") for _ in range(2))]
    highest, is_over = 0, asyncio.Event()

    async def watch() -> None:
        nonlocal highest
        while not is_over.is_set():
            highest = max(highest, resident_kb())
            await asyncio.sleep(0.005)

    async with open_place(StorageSettings(directory=tmp_path), tokens) as place:
        await upload(place.editor, picture())
        before = resident_kb()
        watching = asyncio.create_task(watch())
        # One after the other: the test's own client holds the whole of what it sends in the memory of this process.
        answers = [await upload(place.editor, content) for content in sent]
        is_over.set()
        await watching
    assert [answer.status_code for answer in answers] == [422, 201, 201, 201]
    assert highest - before < ALLOWED_KB
