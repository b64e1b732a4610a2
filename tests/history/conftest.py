"""Fixtures of the tests of the history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from fastapi_application.core.actor import Role
from tests.support.seeded import create_seeded_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.application import Application


@pytest.fixture(scope="session")
async def silent(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    """Speak as an editor whose client adds no comment."""
    token = await application.create_user("silent@example.org", Role.EDITOR)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=application.transport, base_url="http://test", headers=headers) as client:
        yield client


@pytest.fixture(scope="session")
async def second_moderator(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    """Speak as another moderator."""
    token = await application.create_user("second-moderator@example.org", Role.MODERATOR)
    async with application.client(token) as client:
        yield client


@pytest.fixture
def seeded(servers: None, worker_id: str) -> str:
    """Return a database of this test's own that holds the starter encyclopedia."""
    name = f"history_{worker_id}"
    create_seeded_database(name)
    return name
