"""Dependencies of every handler."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from fastapi_application.core.cache_note import SCOPE_KEY
from fastapi_application.core.replica import REPLICA


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Yield the session of one request. Its connection is back in the pool as soon as the action ends."""
    async with request.app.state.session_factory() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]


async def offer_replica(request: Request, session: SessionDep) -> AsyncSession:
    """Let the public read from the replica what nobody keeps: a token's holder and what fills the cache see the primary."""
    state, scope = request.app.state, request.scope
    is_kept = SCOPE_KEY in scope and state.read_path.link.is_up
    if state.replica is not None and not is_kept and "authorization" not in request.headers:
        session.info[REPLICA] = state.replica
    return session


ListSessionDep = Annotated[AsyncSession, Depends(offer_replica)]
"""For searches and lists."""
