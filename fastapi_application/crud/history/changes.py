"""The feed of public changes, for mirrors.

Numbers are taken under one lock as the last thing before COMMIT, so a number never appears behind one that somebody has
already read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import orjson
from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Insert,
    Integer,
    Select,
    Text,
    Uuid,
    bindparam,
    case,
    cast,
    column,
    false,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    true,
)

from fastapi_application.crud.cache_tags import TAGS, tags_of_kinds
from fastapi_application.crud.history.models import Change
from fastapi_application.crud.models import all_kinds
from fastapi_application.crud.read_query import json_list, utc_text

if TYPE_CHECKING:
    import uuid

    from sqlalchemy.ext.asyncio import AsyncSession

CHANGES_LOCK = 7_355_610
CHANGES = "changes"
"""The tag of what shows the feed."""
_PENDING = "public_changes"
_COLUMNS = (column("kind", Text), column("entity_id", Uuid), column("slug", Text), column("action", Text), column("version", Integer))

type Action = Literal["create", "update", "delete"]


@dataclass(frozen=True, slots=True)
class PublicChange:
    """What mirrors are told."""

    kind: str
    entity_id: uuid.UUID
    slug: str
    action: Action
    version: int


def announce(session: AsyncSession, change: PublicChange) -> None:
    """Tell mirrors of a change when its action commits."""
    session.info.setdefault(_PENDING, []).append(change)
    session.info.setdefault(TAGS, set()).add(CHANGES)


def forget_changes(session: AsyncSession) -> None:
    """Forget what an attempt has announced that did not commit."""
    session.info.pop(_PENDING, None)


def insert_changes(session: AsyncSession) -> Insert | None:
    """Return the statement that numbers the announced changes, under the lock; None without any.

    Nothing but COMMIT may follow: others wait for their numbers.
    """
    changes: list[PublicChange] = session.info.pop(_PENDING, [])
    if not changes:
        return None
    turn = select(func.pg_advisory_xact_lock(CHANGES_LOCK).label("taken")).cte("turn")
    rows = cast(literal(orjson.dumps(changes, default=str).decode(), Text), JSON)
    given = func.json_to_recordset(rows).table_valued(*_COLUMNS).render_derived("given", with_types=True)
    source = select(*given.c).select_from(turn.join(given, true()))
    return insert(Change.__table__).from_select([item.name for item in _COLUMNS], source)  # type: ignore[arg-type]


async def changes_since(session: AsyncSession, since: int, limit: int) -> bytes:
    """Render the changes behind a number, oldest first."""
    items, last = (await session.execute(_page(), {"since": since, "limit": limit})).one()
    return b'{"items":%s,"next_since":%d}' % (items.encode(), since if last is None else last)


def tags_of_changes() -> frozenset[str]:
    """Return the tags of a page of the feed: what has been hidden since loses its name."""
    return tags_of_kinds(kind for kind, model in all_kinds().items() if model.is_public(model) is not None) | {CHANGES}


@cache
def _page() -> Select[Any]:
    """Return the statement of a page. What has been taken back from the public keeps its id and loses its name."""
    rows = select(Change, _hidden().label("hidden")).where(Change.seq > bindparam("since", type_=BigInteger)).subquery()
    shown = or_(~rows.c.hidden, rows.c.action == "delete")
    page = select(rows).where(shown).order_by(rows.c.seq).limit(bindparam("limit", type_=Integer)).subquery()
    slug = case((page.c.hidden, null()), else_=page.c.slug)
    items = select(
        page.c.seq,
        page.c.kind,
        page.c.entity_id.label("id"),
        slug.label("slug"),
        page.c.action,
        page.c.version,
        utc_text(page.c.at).label("at"),
    )
    return select(cast(json_list(items.order_by(page.c.seq)), Text), select(func.max(page.c.seq)).scalar_subquery())


def _hidden() -> ColumnElement[bool]:
    """Whether the entity is there, but not for the public."""
    hidden: ColumnElement[bool] = false()
    for model in all_kinds().values():
        public = model.is_public(model)
        if public is not None:
            hidden |= select(model.id).where(model.id == Change.entity_id, ~public).exists()
    return hidden
