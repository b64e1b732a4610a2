"""`Idempotency-Key`: a POST that is sent again is answered again, and done once.

The claim of a key is a row of the same transaction as the write. Of two requests that arrive at once, the second waits
at that row until the first has committed, and then gets its answer.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Header, Response
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from fastapi_application.core.actor import Actor
from fastapi_application.core.errors import FieldError, IdempotencyKeyReusedError, ValidationFailedError
from fastapi_application.crud.history.models import IdempotencyKey

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncSession

LIFETIME = timedelta(hours=24)
REPLAYED = "Idempotency-Replayed"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer, as it is kept."""

    status: int
    body: bytes
    headers: dict[str, str]

    def response(self, *, media_type: str = "application/json") -> Response:
        """Return it as a response."""
        return Response(self.body, self.status, self.headers, media_type)


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request that named a key."""

    user_id: uuid.UUID
    route: str
    key: str
    content_hash: bytes


def keyed_request(actor: Actor, route: str, key: str | None, body: Any) -> KeyedRequest | None:
    """Return what tells a repeated request from a new one; None without a key."""
    return None if key is None or actor.id is None else KeyedRequest(actor.id, route, key, hash_json(body))


def hash_json(value: Any) -> bytes:
    """Hash a JSON value, whatever the order of its members and its white space."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).digest()


async def get_idempotency_key(
    idempotency_key: Annotated[
        str | None, Header(description="1 to 255 visible ASCII characters: sent again within 24 hours, the same answer")
    ] = None,
) -> str | None:
    """Read the key; declare it after the body's dependency.

    Raises:
        ValidationFailedError: it is not a key.

    """
    if idempotency_key is not None and not _KEY.fullmatch(idempotency_key):
        detail = "A key has 1 to 255 visible ASCII characters."
        raise ValidationFailedError(errors=[FieldError("/header/idempotency-key", "invalid_key", detail)])
    return idempotency_key


IdempotencyKeyDep = Annotated[str | None, Depends(get_idempotency_key)]


async def once(session: AsyncSession, request: KeyedRequest | None, make: Callable[[], Awaitable[Answer]]) -> Answer:
    """Make the answer, or return the one that the same request got before. Runs inside the write's action.

    Raises:
        IdempotencyKeyReusedError: the key was sent with another body.

    """
    if request is None:
        return await make()
    if not await _claim(session, request):
        return await _kept(session, request)
    answer = await make()
    values = {"status": answer.status, "headers": answer.headers, "body": answer.body}
    await session.execute(update(IdempotencyKey).where(*_row(request)).values(values))
    return answer


async def kept_answer(session: AsyncSession, request: KeyedRequest | None) -> Answer | None:
    """Return the answer that the same request got before, for those whose work begins before the write's action.

    Raises:
        IdempotencyKeyReusedError: the key was sent with another body.

    """
    if request is None:
        return None
    alive = IdempotencyKey.created_at >= func.clock_timestamp() - LIFETIME
    is_kept = await session.scalar(select(IdempotencyKey.key).where(*_row(request), alive))
    return None if is_kept is None else await _kept(session, request)


async def _claim(session: AsyncSession, request: KeyedRequest) -> bool:
    """Take the key, unless it is taken and not yet expired; a request that is taking it is waited for."""
    claim = insert(IdempotencyKey).values(user_id=request.user_id, route=request.route, key=request.key, request_hash=request.content_hash)
    claim = claim.on_conflict_do_update(
        index_elements=["user_id", "route", "key"],
        set_={"request_hash": claim.excluded.request_hash, "created_at": func.clock_timestamp()},
        where=IdempotencyKey.created_at < func.clock_timestamp() - LIFETIME,
    )
    return (await session.execute(claim.returning(IdempotencyKey.key))).one_or_none() is not None


async def _kept(session: AsyncSession, request: KeyedRequest) -> Answer:
    columns = (IdempotencyKey.request_hash, IdempotencyKey.status, IdempotencyKey.headers, IdempotencyKey.body)
    request_hash, status, headers, body = (await session.execute(select(*columns).where(*_row(request)))).one()
    if request_hash != request.content_hash:
        raise IdempotencyKeyReusedError
    if status is None or headers is None or body is None:  # pragma: no cover - a claim is seen by others with its answer only
        message = "a claim without an answer was committed"
        raise TypeError(message)
    return Answer(status, body, {**headers, REPLAYED: "true"})


def _row(request: KeyedRequest) -> tuple[Any, ...]:
    return (IdempotencyKey.user_id == request.user_id, IdempotencyKey.route == request.route, IdempotencyKey.key == request.key)


async def sweep_idempotency(session: AsyncSession) -> int:
    """Delete the answers that are older than a day; return how many."""
    expired = delete(IdempotencyKey).where(IdempotencyKey.created_at < func.clock_timestamp() - LIFETIME)
    return len((await session.execute(expired.returning(IdempotencyKey.key))).all())
