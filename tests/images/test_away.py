"""The storage is away, silent or broken: uploads say so soon, and everything else goes on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from fastapi_application.core import s3_storage
from fastapi_application.core.config import StorageSettings, get_settings
from fastapi_application.core.errors import StorageUnavailableError
from fastapi_application.core.storage import open_storage
from fastapi_application.encyclopedia.images.decoding import Decoder
from tests.images.conftest import Place, open_place
from tests.support.application import assert_problem, body
from tests.support.images import CREDIT, IMAGES, image_row, picture, upload
from tests.support.network import door
from tests.support.s3 import BUCKET, KEYS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg

    from fastapi_application.core.actor import Role

MOST_S = 5.0
"""What the answer to an upload may take."""


@asynccontextmanager
async def broken_server() -> AsyncIterator[int]:
    """Answer 500 to everything; yield the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def port_that(state: str) -> AsyncIterator[int]:
    """Yield a port that refuses, is silent, or fails."""
    if state == "answers 500":
        async with broken_server() as port:
            yield port
        return
    async with door() as closed:
        if state == "is silent":
            await closed.open()
        yield closed.port


def s3_on(port: int) -> StorageSettings:
    """Return settings that lead to a port of this machine."""
    secret = SecretStr(KEYS["secret_key"])
    return StorageSettings(kind="s3", endpoint_url=f"http://127.0.0.1:{port}", bucket=BUCKET, access_key="test", secret_key=secret)


STATES = ["refuses", "is silent", "answers 500"]


@pytest.mark.parametrize("state", STATES)
async def test_uploads_and_bytes_are_503_and_the_encyclopedia_goes_on(
    state: str, database: str, tokens: dict[Role, str], db: asyncpg.Connection[asyncpg.Record]
) -> None:
    before = await db.fetchval("SELECT count(*) FROM image")
    async with port_that(state) as port, open_place(s3_on(port), tokens) as place:
        answer = await upload(place.editor, picture(), **CREDIT)
        assert_problem(answer, 503, "storage_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert await db.fetchval("SELECT count(*) FROM image") == before
        image = await image_row(place.application)
        assert_problem(await place.anonymous.get(image["url"]), 503, "storage_unavailable")
        assert body(await place.anonymous.get(f"{IMAGES}/{image['slug']}"))["id"] == image["id"]
        assert (await place.anonymous.get("/api/v1/aircraft")).status_code == 200


@pytest.mark.parametrize("state", STATES)
async def test_a_storage_that_goes_while_an_image_is_decoded_leaves_no_row(
    state: str, database: str, tokens: dict[Role, str], monkeypatch: pytest.MonkeyPatch, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    before = await db.fetchval("SELECT count(*) FROM image")

    async def there(_storage: Any) -> None:
        """It was there when the upload came."""

    async with port_that(state) as port, open_place(s3_on(port), tokens) as away:
        monkeypatch.setattr(s3_storage.S3Storage, "check", there)
        assert_problem(await upload(away.editor, picture()), 503, "storage_unavailable")
    assert await db.fetchval("SELECT count(*) FROM image") == before


@pytest.mark.parametrize("state", STATES)
async def test_every_call_ends_by_itself(state: str, servers: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("READ_TIMEOUT_S", "DEADLINE_S", "CHECK_DEADLINE_S"):
        monkeypatch.setattr(s3_storage, limit, 0.4)
    source = tmp_path / "file"
    source.write_bytes(picture())
    async with port_that(state) as port, open_storage(get_settings().model_copy(update={"storage": s3_on(port)})) as storage:
        for call in (
            storage.check,
            lambda: storage.put("images/x", source, "image/png"),
            lambda: storage.exists("images/x"),
            lambda: storage.open("images/x"),
            lambda: storage.delete(["images/x"]),
            lambda: anext(aiter(storage.walk("images/"))),
        ):
            with pytest.raises(StorageUnavailableError):
                await call()


def test_the_deadlines_leave_time_for_the_answer() -> None:
    # A storage that dies before the upload is found out by the check, later by the writing: never both.
    assert s3_storage.CHECK_DEADLINE_S + s3_storage.DEADLINE_S < MOST_S


async def test_a_disk_that_refuses_is_a_storage_that_is_away(
    database: str, tokens: dict[Role, str], tmp_path: Path, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    before = await db.fetchval("SELECT count(*) FROM image")
    no_folder = tmp_path / "file"
    no_folder.write_text("This is no folder.")
    async with open_place(StorageSettings(directory=no_folder / "media"), tokens) as place:
        assert_problem(await upload(place.editor, picture()), 503, "storage_unavailable")
        image = await image_row(place.application)
        assert (await place.anonymous.get(image["url"])).status_code in {404, 503}
    assert await db.fetchval("SELECT count(*) FROM image") == before + 1, "the one that was made on purpose"


async def test_a_bucket_that_is_not_there_is_a_storage_that_cannot_be_reached(s3: str) -> None:
    settings = StorageSettings(kind="s3", endpoint_url=s3, bucket="no-such-bucket", access_key="test", secret_key=SecretStr("x" * 16))
    async with open_storage(get_settings().model_copy(update={"storage": settings})) as storage:
        with pytest.raises(StorageUnavailableError):
            await storage.delete(["images/x"])


async def test_others_are_answered_while_an_image_is_decoded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder stands still for as long as the test likes."""
    begun, may_end = asyncio.Event(), asyncio.Event()
    clean = Decoder.clean

    async def wait_and_clean(*arguments: Any) -> Any:
        begun.set()
        await may_end.wait()
        return await clean(*arguments)

    monkeypatch.setattr(Decoder, "clean", wait_and_clean)
    sending = asyncio.create_task(upload(place.editor, picture()))
    await begun.wait()
    async with place.application.fastapi.state.session_factory() as session:
        assert session.bind.pool.checkedout() == 0, "an upload holds no connection while it is decoded"
    for _ in range(5):
        assert (await place.anonymous.get(IMAGES)).status_code == 200
    assert not sending.done()
    may_end.set()
    body(await sending, 201)


async def test_only_so_many_uploads_are_taken_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_end = asyncio.Semaphore(0), asyncio.Event()
    clean = Decoder.clean

    async def wait_and_clean(*arguments: Any) -> Any:
        begun.release()
        await may_end.wait()
        return await clean(*arguments)

    monkeypatch.setattr(Decoder, "clean", wait_and_clean)
    sending = [asyncio.create_task(upload(place.editor, picture())) for _ in range(4)]
    for _ in sending:
        await begun.acquire()
    assert_problem(await upload(place.editor, picture()), 503, "overloaded")
    may_end.set()
    assert [answer.status_code for answer in await asyncio.gather(*sending)] == [201] * 4
