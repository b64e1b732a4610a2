"""The starter encyclopedia, served."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.application import Application, running_application
from tests.support.seeded import create_seeded_database, current_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx


@pytest.fixture(scope="session")
def library_database(servers: None, worker_id: str) -> str:
    """Return a database with the starter encyclopedia that tests of pages share."""
    name = f"library_{worker_id}"
    create_seeded_database(name)
    return name


@pytest.fixture(scope="session")
async def library_application(database: str, library_database: str) -> AsyncIterator[Application]:
    """Run the application on it."""
    with current_database(library_database):
        running = running_application()
        application = await running.__aenter__()
    yield application
    await running.__aexit__(None, None, None)


@pytest.fixture(scope="session")
async def library(library_application: Application) -> AsyncIterator[httpx.AsyncClient]:
    """Read the starter encyclopedia as the public."""
    async with library_application.client() as client:
        yield client
