"""Finds the factory of each kind: a module here, named like the entity's folder.

A factory has `KIND`, `minimal(n)`: the least that a POST needs; `full(n, make)`: every writable field but the slug, with
what it refers to made by `make`; and `changes(n)`: a merge patch that really changes something, and stays valid.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Document = dict[str, Any]


class Factory(Protocol):
    """What a factory module has."""

    KIND: str

    def minimal(self, n: int) -> Document:
        """Return the least that a POST needs."""

    async def full(self, n: int, make: Callable[..., Awaitable[Document]]) -> Document:
        """Return every writable field but the slug."""

    def changes(self, n: int) -> Document:
        """Return a merge patch."""


def _load() -> dict[str, Factory]:
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in {"__init__", "registry"})
    modules = [cast("Factory", import_module(f"tests.factories.{name}")) for name in names]
    return {module.KIND: module for module in modules}


FACTORIES = _load()
