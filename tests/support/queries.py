"""Counts the statements that a block sends to the database."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.ext.asyncio import AsyncEngine


_recording: ContextVar[object] = ContextVar("_recording", default=None)


@contextmanager
def recorded_queries(engine: AsyncEngine) -> Iterator[list[str]]:
    """Yield the list that the block's statements are added to: not those of tasks that were there before it, such as the relay."""
    statements: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if _recording.get() is statements:
            statements.append(statement)

    token = _recording.set(statements)
    event.listen(engine.sync_engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        _recording.reset(token)
        event.remove(engine.sync_engine, "before_cursor_execute", record)
