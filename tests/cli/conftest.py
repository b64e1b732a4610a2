"""Directories for servers that the commands start themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fastapi_application.local import remove_local

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Return a LOCAL__DIR of which nothing is left afterwards."""
    path = tmp_path / "local"
    yield path
    remove_local(path)
