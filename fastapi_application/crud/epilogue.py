"""What an action writes last: its revision, its audit entries, the tags of the read cache, the numbers of public changes.

All of it goes to the database in one statement, directly before COMMIT: four would cost a writer three round trips more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import literal_column, select

from fastapi_application.crud.cache_outbox import insert_tags, take_tags
from fastapi_application.crud.history.changes import insert_changes

if TYPE_CHECKING:
    from sqlalchemy import Insert
    from sqlalchemy.ext.asyncio import AsyncSession

_DEFERRED = "epilogue"

type _Deferred = tuple[Insert, dict[str, Any]]


def defer(session: AsyncSession, statement: Insert, **parameters: Any) -> None:
    """Insert this when the action ends; who gives `parameters` calls `settle` first, for their names to be free.

    No name of a parameter is that of a column: an INSERT would take it for a value.
    """
    session.info.setdefault(_DEFERRED, []).append((statement, parameters))


def forget_deferred(session: AsyncSession) -> None:
    """Forget what an attempt has deferred that did not commit."""
    session.info.pop(_DEFERRED, None)


async def settle(session: AsyncSession) -> None:
    """Insert now what has been deferred: what comes next would change what it says."""
    deferred = session.info.pop(_DEFERRED, [])
    if deferred:
        await _insert(session, deferred)


async def write_epilogue(session: AsyncSession) -> tuple[int, frozenset[str]] | None:
    """Insert everything. Nothing but COMMIT may follow: others wait for their numbers.

    Returns:
        The id of the row with the tags of this action, and the tags; None if it has touched nothing.

    """
    await session.flush()
    tags = take_tags(session)
    statements: list[_Deferred] = session.info.pop(_DEFERRED, [])
    changes = insert_changes(session)
    if changes is not None:
        statements.append((changes, {}))
    if tags is None:
        if statements:
            await _insert(session, statements)
        return None
    kept = insert_tags(tags).cte("kept")
    return await _insert(session, statements, kept), tags


async def _insert(session: AsyncSession, statements: list[_Deferred], kept: Any = None) -> int:
    columns = kept.c.id if kept is not None else literal_column("0")
    parts = [statement.cte(f"part{index}") for index, (statement, _) in enumerate(statements)]
    parameters = {name: value for _, given in statements for name, value in given.items()}
    found: int = (await session.execute(select(columns).add_cte(*parts), parameters)).scalar_one()
    return found
