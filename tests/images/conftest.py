"""The same tests on a folder and on an S3 server over HTTP."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from fastapi_application.core.actor import Role
from fastapi_application.core.config import Settings, StorageSettings, get_settings
from fastapi_application.crud.action import run_crud_action
from fastapi_application.encyclopedia.images.files import PREFIX, ImageFiles
from fastapi_application.encyclopedia.images.renditions import render_image
from fastapi_application.jobs.registry import JobContext
from tests.support.application import Application, body, running_application
from tests.support.s3 import BUCKET, KEYS, create_bucket, s3_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import httpx

    from fastapi_application.core.storage import Storage


@dataclass
class Place:
    """An application with a storage of its own, and clients."""

    application: Application
    settings: Settings
    anonymous: httpx.AsyncClient
    editor: httpx.AsyncClient
    administrator: httpx.AsyncClient

    @property
    def storage(self) -> Storage:
        """The storage of the application."""
        files: ImageFiles = self.application.fastapi.state.image_files
        return files.storage

    async def keys(self, sha256: str = "") -> set[str]:
        """Return the names of the stored files of an image, or of all."""
        return {item.key.removeprefix(PREFIX) async for item in self.storage.walk(PREFIX) if sha256 in item.key}

    async def render(self, image: dict[str, Any]) -> dict[str, Any]:
        """Do the job of an image here and now; return the image."""
        async with self.application.fastapi.state.session_factory() as session:
            context = JobContext(session, self.settings, uuid.uuid4(), 1, datetime.now(UTC))
            await run_crud_action(session, render_image, context, {"image_id": image["id"]})
        shown: dict[str, Any] = body(await self.editor.get(f"/api/v1/images/{image['id']}"))
        return shown

    async def bytes_of(self, url: str) -> bytes:
        """Return what an editor gets at an address."""
        answer = await self.editor.get(url)
        assert answer.status_code == 200, answer.text
        return answer.content


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Run an S3 server for the tests of this process."""
    with s3_server() as address:
        yield address


@pytest.fixture(scope="session")
async def tokens(application: Application) -> dict[Role, str]:
    """Return the tokens of accounts of these tests."""
    roles = (Role.EDITOR, Role.ADMINISTRATOR)
    return {role: await application.create_user(f"{role}@images.example.org", role) for role in roles}


@pytest.fixture(scope="session", params=["directory", "s3"])
async def place(
    request: pytest.FixtureRequest, database: str, tokens: dict[Role, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    """Run an application on each kind of storage."""
    if request.param == "s3":
        address: str = request.getfixturevalue("s3")
        await create_bucket(address, BUCKET)
        storage = StorageSettings(
            kind="s3", endpoint_url=address, bucket=BUCKET, access_key=KEYS["access_key"], secret_key=SecretStr(KEYS["secret_key"])
        )
    else:
        storage = StorageSettings(directory=tmp_path_factory.mktemp("media"))
    async with open_place(storage, tokens) as place:
        yield place


@asynccontextmanager
async def open_place(storage: StorageSettings, tokens: dict[Role, str]) -> AsyncIterator[Place]:
    """Run an application on a storage."""
    settings = get_settings().model_copy(update={"storage": storage})
    async with AsyncExitStack() as stack:
        application = await stack.enter_async_context(running_application(settings))
        clients = [application.client(token) for token in (None, tokens[Role.EDITOR], tokens[Role.ADMINISTRATOR])]
        for client in clients:
            await stack.enter_async_context(client)
        yield Place(application, settings, *clients)
