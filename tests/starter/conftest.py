"""The starter encyclopedia, as documents and as a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fastapi_application.starter.documents import Starter, read_starter
from tests.support.seeded import create_seeded_database

if TYPE_CHECKING:
    from fastapi_application.starter.documents import Record


@pytest.fixture(scope="session")
def starter() -> Starter:
    """Read the files once."""
    return read_starter()


@pytest.fixture(scope="session")
def by_slug(starter: Starter) -> dict[str, dict[str, Record]]:
    """Return the documents by kind and slug."""
    return {kind: {document["slug"]: document for document in documents} for kind, documents in starter.kinds.items()}


@pytest.fixture
def seeded(servers: None, worker_id: str) -> str:
    """Return a database of this test's own that holds the starter encyclopedia."""
    name = f"seeded_{worker_id}"
    create_seeded_database(name)
    return name
