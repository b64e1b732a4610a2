"""No row without its file, no file for long without its row."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.core.actor import SYSTEM
from fastapi_application.core.errors import StorageUnavailableError
from fastapi_application.crud.action import run_crud_action
from fastapi_application.crud.repository import Repository
from fastapi_application.encyclopedia.images import sweep as sweeping
from fastapi_application.encyclopedia.images.decoding import Original
from fastapi_application.encyclopedia.images.files import file_key
from fastapi_application.encyclopedia.images.schemas import ImageWrite
from fastapi_application.encyclopedia.images.service import ImageService
from fastapi_application.encyclopedia.images.sweep import Sweep, sweep_images
from tests.support.application import assert_problem, body
from tests.support.commands import command_environment, run_command, settings_of_this_run
from tests.support.images import IMAGES, picture, upload, uploaded

if TYPE_CHECKING:
    import asyncpg

    from tests.images.conftest import Place


@pytest.fixture(autouse=True)
async def _no_images_of_others(database: str, db: asyncpg.Connection[asyncpg.Record]) -> None:
    """Images of tests without files would all be reported."""
    await db.execute(
        "DELETE FROM article_image; DELETE FROM aircraft_image; DELETE FROM image; DELETE FROM entity_slug WHERE kind = 'images'"
    )


def original_of(content: bytes) -> Original:
    """Return a stored original, as the decoder would."""
    return Original(Path("/nowhere"), hashlib.sha256(content).hexdigest(), "image/png", 40, 30, len(content))


async def stored(place: Place, tmp_path: Path) -> Original:
    """Put an original into the storage that has no row."""
    content = picture()
    original = original_of(content)
    path = tmp_path / original.sha256
    path.write_bytes(content)
    await place.storage.put(file_key(original.sha256, "original.png"), path, "image/png")
    return original


async def sweep(place: Place, **options: Any) -> Sweep:
    """Sweep the storage of a place."""
    return await sweep_images(place.application.fastapi.state.session_factory, place.storage, **options)


async def test_a_sweep_removes_what_no_image_names_and_nothing_else(place: Place, tmp_path: Path) -> None:
    image = await place.render(await uploaded(place.editor))
    orphan = await stored(place, tmp_path)
    kept = await place.keys(image["sha256"])
    found = await sweep(place)
    assert file_key(orphan.sha256, "original.png") in found.removed
    assert await place.keys() == kept
    assert found.missing == []
    assert (await sweep(place)).removed == []


async def test_a_sweep_leaves_young_files_to_the_uploads_that_made_them(place: Place, tmp_path: Path) -> None:
    orphan = await stored(place, tmp_path)
    assert (await sweep(place, older_than_s=3600)).removed == []
    assert await place.keys(orphan.sha256)
    await sweep(place)


async def test_a_sweep_tells_of_an_image_whose_file_is_gone(place: Place) -> None:
    image = await uploaded(place.editor)
    await place.storage.delete([f"images/{key}" for key in await place.keys(image["sha256"])])
    assert (await sweep(place)).missing == [image["slug"]]
    assert_problem(await place.editor.get(image["url"]), 404, "not_found")


async def test_an_upload_whose_file_was_swept_meanwhile_leaves_no_row(place: Place) -> None:
    original = original_of(picture())
    async with place.application.fastapi.state.session_factory() as session:
        add = ImageService(session).add
        with pytest.raises(StorageUnavailableError):
            await run_crud_action(session, add, ImageWrite(name="x"), original, original.sha256, place.storage, SYSTEM)
    assert body(await place.editor.get(IMAGES, params={"sha256": original.sha256}))["total"] == 0


async def test_a_write_that_fails_at_the_end_leaves_a_file_for_the_sweep_and_nothing_else(
    place: Place, monkeypatch: pytest.MonkeyPatch, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    async def fail(*_: Any) -> None:
        raise RuntimeError

    sent = picture()
    jobs = await db.fetchval("SELECT count(*) FROM outbox_job")
    with monkeypatch.context() as broken:
        broken.setattr(Repository, "document", fail)  # which renders the answer, when everything is written
        assert_problem(await upload(place.editor, sent), 500, "internal_error")
    assert await db.fetchval("SELECT count(*) FROM image") == 0
    assert await db.fetchval("SELECT count(*) FROM outbox_job") == jobs
    assert len((await sweep(place)).removed) == 1
    assert len(await place.keys()) == 0
    image = await uploaded(place.editor, sent)
    assert len(await place.keys(image["sha256"])) == 1


async def test_files_of_an_image_that_came_again_are_not_removed(place: Place) -> None:
    """The job of the deletion runs late: the same picture is there again."""
    image = await uploaded(place.editor)
    async with place.application.fastapi.state.session_factory() as session:
        assert await run_crud_action(session, sweeping.remove_files, session, place.storage, image["sha256"]) == []
    assert len(await place.keys(image["sha256"])) == 1


def test_the_command_sweeps_and_tells(database: str, tmp_path: Path) -> None:
    folder = tmp_path / "images" / "ab" / ("ab" * 32)
    folder.mkdir(parents=True)
    (folder / "original.png").write_bytes(picture())
    (tmp_path / "of another program.txt").write_text("Keep this.")
    env = command_environment(tmp_path / "local", **settings_of_this_run(), STORAGE__DIRECTORY=str(tmp_path))
    result = run_command("sweep-images", env=env)
    assert (result.returncode, result.stdout, result.stderr) == (0, "Files that no image names, removed: 1.\n", "")
    assert not folder.exists()
    assert (tmp_path / "of another program.txt").exists()
