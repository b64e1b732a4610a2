"""The pictures of the starter encyclopedia: clean files, known authors, shown somewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from fastapi_application.core.storage import DirectoryStorage
from fastapi_application.crud.action import run_crud_action
from fastapi_application.encyclopedia.images.files import file_key
from fastapi_application.encyclopedia.images.models import REQUIRED
from fastapi_application.starter.documents import load_records
from fastapi_application.starter.loader import StarterLoader
from fastapi_application.starter.pictures import originals
from tests.support.seeded import connection_to, session_on

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi_application.starter.documents import Record

FILES = 9


def test_each_file_is_what_its_record_says_and_tells_nothing_else() -> None:
    known = {row["file"]: row["sha256"] for row in load_records("images/manifest")}
    assert len(originals()) == FILES
    for original in originals().values():
        assert original.sha256 == known[original.path.name]
        with Image.open(original.path) as image:
            image.load()
            assert (image.size, image.format) == ((original.width, original.height), "JPEG")
            assert set(image.info) == {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_each_image_may_be_shown_and_is(by_slug: dict[str, dict[str, Record]]) -> None:
    assert set(by_slug["images"]) == set(originals())
    assert all(image[name] for image in by_slug["images"].values() for name in REQUIRED)
    shown = [item for kind in ("aircraft", "articles") for entry in by_slug[kind].values() for item in entry["images"]]
    assert {item["image"] for item in shown} == set(originals())
    assert all(item["caption"] for item in shown)
    uses = [(row["slug"], use["slug"]) for row in load_records("images") for kind in ("aircraft", "articles") for use in row[kind]]
    assert len(uses) == len(shown), "an image names an entry that does not exist"


async def test_the_loader_puts_the_files_where_the_rows_say(seeded: str, tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    async with session_on(seeded) as session:
        report = await run_crud_action(session, StarterLoader(session, storage).load)
    assert not report.created
    async with connection_to(seeded) as connection:
        rows = await connection.fetch("SELECT sha256, status, credit FROM image")
        jobs = await connection.fetchval("SELECT count(*) FROM outbox_job WHERE name = 'render_image'")
    assert len(rows) == jobs == FILES
    for row in rows:
        assert row["credit"]
        assert await storage.exists(file_key(row["sha256"], "original.jpg"))
