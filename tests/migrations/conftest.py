"""Databases that a test of the migrations may bring to any revision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.seeded import create_seeded_database, current_database
from tests.support.servers import create_database

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def empty(worker_id: str) -> Iterator[str]:
    """Make a database with nothing in it the current one."""
    create_database(f"migrations_{worker_id}")
    with current_database(f"migrations_{worker_id}") as name:
        yield name


@pytest.fixture
def seeded(worker_id: str) -> Iterator[str]:
    """Make a database with the starter encyclopedia in it the current one."""
    create_seeded_database(f"migrations_{worker_id}")
    with current_database(f"migrations_{worker_id}") as name:
        yield name
