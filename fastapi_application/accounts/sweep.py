"""Deletes what has expired."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, func

from fastapi_application.accounts import failed_logins, throttle
from fastapi_application.accounts.models import AccessToken, ApiToken, KnownNetwork, RefreshToken, UserSession
from fastapi_application.crud.idempotency import sweep_idempotency

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

NETWORK_AGE = timedelta(days=180)
_EXPIRING = (AccessToken, RefreshToken, UserSession, ApiToken)


async def sweep_expired(session: AsyncSession) -> None:
    """Delete expired tokens and sessions, networks not signed in from for half a year, forgotten failures, and answers kept for repeats.

    Of the audit log, old entries of failed logins.
    """
    for model in _EXPIRING:
        await session.execute(delete(model).where(model.expires_at <= func.now()))
    await session.execute(delete(KnownNetwork).where(KnownNetwork.last_used_at < func.now() - NETWORK_AGE))
    await throttle.sweep(session)
    await failed_logins.sweep(session)
    await sweep_idempotency(session)
