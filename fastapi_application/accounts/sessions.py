"""Sessions: a sign-in, its access tokens, and the refresh tokens that prolong it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, delete, func, select, update

from fastapi_application.accounts import audit
from fastapi_application.accounts.authentication import HashedTokenStrategy, Identity
from fastapi_application.accounts.models import AccessToken, RefreshToken, User, UserSession
from fastapi_application.accounts.schemas import SessionList, SessionRead, TokenAnswer
from fastapi_application.accounts.tokens import REFRESH_PREFIX, hash_token, new_token
from fastapi_application.core.config import get_settings
from fastapi_application.core.errors import (
    AppError,
    NotAuthenticatedError,
    NotFoundError,
    RefreshTokenInvalidError,
    RefreshTokenReusedError,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.accounts.audit import Origin


class SessionService:
    """Opens, prolongs, lists and ends sessions."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the service to the action's session."""
        self.session = session
        self.strategy = HashedTokenStrategy(session)

    async def open(self, user_id: uuid.UUID, origin: Origin) -> TokenAnswer:
        """Open a session and issue its first tokens."""
        values = {"user_id": user_id, "device": origin.device, "address": origin.address}
        user_session = UserSession(id=uuid.uuid4(), expires_at=_refresh_expiry(), **values)
        self.session.add(user_session)
        await self.session.flush()
        audit.record(self.session, "login", actor_id=user_id, user_id=user_id, origin=origin, session_id=str(user_session.id))
        return await self._issue(user_session)

    async def refresh(self, token: str, origin: Origin) -> TokenAnswer | AppError:
        """Exchange a refresh token for new tokens.

        One that was used before ends its session, with all that came from it: somebody has a copy, and nobody knows who.
        That must be saved although the answer is an error, so the error is returned.
        """
        hashed = hash_token(token)
        user_session = await self._lock_session_of(hashed)
        if user_session is None:
            return RefreshTokenInvalidError()
        # Read behind the lock: of two that come at once, the second finds the token used.
        state = (await self.session.execute(_state_of(hashed))).one_or_none()
        if state is None:  # swept meanwhile
            return RefreshTokenInvalidError()
        used_at, expires_at = state
        if used_at is not None:
            await self._end_family(user_session, origin)
            return RefreshTokenReusedError()
        if user_session.ended_at is not None or expires_at <= datetime.now(UTC) or not await self._is_active(user_session.user_id):
            return RefreshTokenInvalidError()
        await self.session.execute(update(RefreshToken).where(RefreshToken.token == hashed).values(used_at=func.now()))
        user_session.last_used_at = datetime.now(UTC)
        user_session.expires_at = _refresh_expiry()
        user_session.address = origin.address
        await self.session.flush()
        return await self._issue(user_session)

    async def list(self, identity: Identity) -> SessionList:
        """List the account's live sessions, the last used first."""
        live = (UserSession.user_id == identity.user_id, UserSession.ended_at.is_(None), UserSession.expires_at > func.now())
        rows = await self.session.scalars(select(UserSession).where(*live).order_by(UserSession.last_used_at.desc(), UserSession.id))
        return SessionList(items=[_render(row, identity.session_id) for row in rows])

    async def end(self, identity: Identity, session_id: uuid.UUID, origin: Origin) -> None:
        """End one session of the account.

        Raises:
            NotFoundError: it has none with this id.

        """
        if not await self._end(identity, session_id, "session_ended", origin):
            raise NotFoundError

    async def log_out(self, identity: Identity, origin: Origin) -> None:
        """End the session that asks.

        Raises:
            NotAuthenticatedError: it was ended a moment ago.

        """
        if not await self._end(identity, identity.session_id, "logout", origin):
            raise NotAuthenticatedError

    async def _end(self, identity: Identity, session_id: uuid.UUID | None, action: str, origin: Origin) -> bool:
        own = (UserSession.id == session_id, UserSession.user_id == identity.user_id, UserSession.ended_at.is_(None))
        ended = await self.session.execute(delete(UserSession).where(*own).returning(UserSession.id))
        if ended.one_or_none() is None:
            return False
        values: dict[str, Any] = {"actor_id": identity.user_id, "user_id": identity.user_id, "origin": origin}
        audit.record(self.session, action, session_id=str(session_id), **values)
        return True

    async def confirm(self, identity: Identity) -> None:
        """Make sure, behind the lock on its account, that the session that asks has not ended since it was looked up.

        Raises:
            NotAuthenticatedError: it has.

        """
        live = select(UserSession.id).where(UserSession.id == identity.session_id, UserSession.ended_at.is_(None))
        if await self.session.scalar(live) is None:
            raise NotAuthenticatedError

    async def end_own(self, identity: Identity, origin: Origin) -> None:
        """End all sessions of the account, this one too."""
        await self.end_all(identity.user_id)
        audit.record(self.session, "all_sessions_ended", actor_id=identity.user_id, user_id=identity.user_id, origin=origin)

    async def end_all(self, user_id: uuid.UUID) -> None:
        """End all sessions of an account; their tokens go with them."""
        await self.session.execute(delete(UserSession).where(UserSession.user_id == user_id))

    async def _lock_session_of(self, hashed: str) -> UserSession | None:
        family = select(RefreshToken.session_id).where(RefreshToken.token == hashed).scalar_subquery()
        statement = select(UserSession).where(UserSession.id == family).with_for_update().execution_options(populate_existing=True)
        return (await self.session.execute(statement)).scalar_one_or_none()

    async def _is_active(self, user_id: uuid.UUID) -> bool:
        return bool(await self.session.scalar(select(User.is_active).where(User.id == user_id)))

    async def _end_family(self, user_session: UserSession, origin: Origin) -> None:
        await self.session.execute(delete(AccessToken).where(AccessToken.session_id == user_session.id))
        if user_session.ended_at is not None:
            return
        user_session.ended_at = datetime.now(UTC)
        details = {"session_id": str(user_session.id)}
        audit.record(self.session, "refresh_token_reused", actor_id=None, user_id=user_session.user_id, origin=origin, **details)

    async def _issue(self, user_session: UserSession) -> TokenAnswer:
        refresh_token = new_token(REFRESH_PREFIX)
        row = RefreshToken(token=hash_token(refresh_token), session_id=user_session.id, expires_at=user_session.expires_at)
        self.session.add(row)
        settings = get_settings().auth
        return TokenAnswer(
            access_token=await self.strategy.issue(user_session),
            token_type="bearer",  # noqa: S106 - the scheme's name
            expires_in=settings.access_ttl_s,
            refresh_token=refresh_token,
            refresh_expires_in=settings.refresh_ttl_s,
        )


def _state_of(hashed: str) -> Select[tuple[datetime | None, datetime]]:
    return select(RefreshToken.used_at, RefreshToken.expires_at).where(RefreshToken.token == hashed)


def _refresh_expiry() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=get_settings().auth.refresh_ttl_s)


def _render(row: UserSession, current: uuid.UUID | None) -> SessionRead:
    fields = ("id", "device", "address", "created_at", "last_used_at", "expires_at")
    return SessionRead(**{field: getattr(row, field) for field in fields}, current=row.id == current)
