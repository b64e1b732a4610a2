"""Places of objects: a directory and a bucket behave alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fastapi_application.backup import s3
from fastapi_application.backup.errors import BackupError, MissingObjectError
from fastapi_application.backup.places import DirectoryPlace, Place, once, open_images, open_place
from fastapi_application.core.config import Settings, StorageSettings
from tests.backup.streams import gather, stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SMALLEST_PART = 5 * 1024 * 1024


async def keys(place: Place) -> list[str]:
    """List a place."""
    return sorted([key async for key in place.walk()])


async def failing(data: bytes) -> AsyncIterator[bytes]:
    """Stream some bytes, then fail."""
    yield data
    raise BackupError("the source has failed")


async def test_what_was_written_is_listed_and_read(place: Place) -> None:
    assert await keys(place) == []
    await place.write("ab/cd.jpg", stream(b"picture" * 1000))
    await place.write("empty", stream(b""))
    await place.write("ab/cd.jpg", once(b"another"))
    assert await keys(place) == ["ab/cd.jpg", "empty"]
    assert await gather(place.read("ab/cd.jpg")) == b"another"
    assert await gather(place.read("empty")) == b""


async def test_what_is_not_there_is_missing(place: Place) -> None:
    with pytest.raises(MissingObjectError, match="no nothing in"):
        await gather(place.read("nothing"))


async def test_a_stream_that_fails_leaves_nothing(place: Place) -> None:
    with pytest.raises(BackupError, match="source has failed"):
        await place.write("half", failing(b"x" * 100))
    assert await keys(place) == []
    await place.write("whole", once(b"before"))
    with pytest.raises(BackupError, match="source has failed"):
        await place.write("whole", failing(b"after"))
    assert await gather(place.read("whole")) == b"before"


@pytest.mark.parametrize("key", ["../outside", "/etc/passwd", "a/../../outside", "", "a\0b"])
async def test_a_directory_is_never_left(key: str, tmp_path: Path) -> None:
    place = DirectoryPlace(tmp_path / "inside")
    with pytest.raises(BackupError, match="not the name of an object"):
        await place.write(key, once(b"x"))
    with pytest.raises(BackupError, match="not the name of an object"):
        await gather(place.read(key))
    assert not (tmp_path / "outside").exists()


async def test_large_objects_go_to_a_bucket_in_parts(bucket: str, s3_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", SMALLEST_PART)
    data = b"0123456789abcdef" * (2 * SMALLEST_PART // 16) + b"rest"
    async with open_place(f"s3://{bucket}/large", s3_settings) as place:
        await place.write("object", stream(data, 700_000))
        assert await gather(place.read("object")) == data
        await place.write("even", stream(data[: 2 * SMALLEST_PART], 700_000))
        assert len(await gather(place.read("even"))) == 2 * SMALLEST_PART
        with pytest.raises(BackupError, match="source has failed"):
            await place.write("failed", failing(data))
        assert await keys(place) == ["even", "object"]


async def test_prefixes_of_a_bucket_do_not_see_each_other(bucket: str, s3_settings: Settings) -> None:
    async with open_place(f"s3://{bucket}/one", s3_settings) as one, open_place(f"s3://{bucket}/one-more/", s3_settings) as more:
        await one.write("key", once(b"1"))
        assert (await keys(one), await keys(more)) == (["key"], [])


async def test_a_bucket_that_is_not_there_is_one_sentence(s3_settings: Settings) -> None:
    async with open_place("s3://no-such-bucket/x", s3_settings) as place:
        with pytest.raises(BackupError, match=r"^s3://no-such-bucket/x cannot be used: .*bucket"):
            await place.write("key", once(b"x"))
    with pytest.raises(BackupError, match="names no bucket"):
        async with open_place("s3://", s3_settings):
            pass


async def test_the_environment_of_s3_tools_comes_first(s3_server: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ENDPOINT_URL_S3": s3_server, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    elsewhere = Settings(storage=StorageSettings(endpoint_url="http://127.0.0.1:1", region="us-east-1"))
    async with open_place(f"s3://{bucket}/x", elsewhere) as place:
        await place.write("key", once(b"x"))
        assert await keys(place) == ["key"]


async def test_images_are_where_the_settings_say(bucket: str, s3_settings: Settings, tmp_path: Path) -> None:
    s3_settings.storage.bucket = bucket
    async with open_images(s3_settings) as images:
        await images.write("a.jpg", once(b"a"))
    async with open_place(f"s3://{bucket}", s3_settings) as whole:
        assert await keys(whole) == ["a.jpg"]
    async with open_images(Settings(storage=StorageSettings(directory=tmp_path / "media"))) as images:
        await images.write("b.jpg", once(b"b"))
    assert (tmp_path / "media/b.jpg").read_bytes() == b"b"
