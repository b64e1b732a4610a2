"""Personal API tokens, for editors' scripts."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select

from fastapi_application.accounts import audit
from fastapi_application.accounts.models import ApiToken, User
from fastapi_application.accounts.schemas import ApiTokenCreate, ApiTokenCreated, ApiTokenList, ApiTokenRead
from fastapi_application.accounts.sessions import SessionService
from fastapi_application.accounts.tokens import API_PREFIX, hash_token, new_token
from fastapi_application.core.errors import FieldError, NotFoundError, StateConflictError, ValidationFailedError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.accounts.audit import Origin
    from fastapi_application.accounts.authentication import Identity

MAX_TOKENS = 50
LONGEST_LIFE = timedelta(days=366)
SHOWN_CHARACTERS = 8


class ApiTokenService:
    """Creates, lists and revokes the personal tokens of an account."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the service to the action's session."""
        self.session = session

    async def create(self, identity: Identity, body: ApiTokenCreate, origin: Origin) -> ApiTokenCreated:
        """Create a token and show it this once.

        Raises:
            ValidationFailedError: it expires in the past, or too late.
            NotAuthenticatedError: the session has ended meanwhile.
            StateConflictError: the account has too many.

        """
        _check_expiry(body.expires_at)
        user_id = identity.user_id
        await self.session.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))
        await SessionService(self.session).confirm(identity)
        if (await self.session.scalar(select(func.count()).where(ApiToken.user_id == user_id)) or 0) >= MAX_TOKENS:
            raise StateConflictError(f"An account has at most {MAX_TOKENS} tokens; revoke one first.")
        token = new_token(API_PREFIX)
        row = ApiToken(
            id=uuid.uuid4(),
            user_id=user_id,
            token=hash_token(token),
            prefix=token[: len(API_PREFIX) + SHOWN_CHARACTERS],
            name=body.name,
            scopes=sorted(set(body.scopes)),
            expires_at=body.expires_at,
        )
        self.session.add(row)
        await self.session.flush()
        await self.session.refresh(row)
        details = {"token_id": str(row.id), "scopes": row.scopes}
        audit.record(self.session, "api_token_created", actor_id=user_id, user_id=user_id, origin=origin, **details)
        return ApiTokenCreated.model_validate({**ApiTokenRead.model_validate(row).__dict__, "token": token})

    async def list(self, user_id: uuid.UUID) -> ApiTokenList:
        """List the account's tokens, the newest first; expired ones until they are swept."""
        statement = select(ApiToken).where(ApiToken.user_id == user_id).order_by(ApiToken.created_at.desc(), ApiToken.id)
        return ApiTokenList(items=[ApiTokenRead.model_validate(row) for row in await self.session.scalars(statement)])

    async def revoke(self, user_id: uuid.UUID, token_id: uuid.UUID, origin: Origin) -> None:
        """Revoke one token of the account.

        Raises:
            NotFoundError: it has none with this id.

        """
        own = delete(ApiToken).where(ApiToken.id == token_id, ApiToken.user_id == user_id).returning(ApiToken.id)
        if (await self.session.execute(own)).one_or_none() is None:
            raise NotFoundError
        audit.record(self.session, "api_token_revoked", actor_id=user_id, user_id=user_id, origin=origin, token_id=str(token_id))

    async def revoke_all(self, user_id: uuid.UUID) -> None:
        """Revoke all tokens of an account."""
        await self.session.execute(delete(ApiToken).where(ApiToken.user_id == user_id))


def _check_expiry(expires_at: datetime) -> None:
    now = datetime.now(UTC)
    if not now < expires_at <= now + LONGEST_LIFE:
        detail = f"A token lives at least a moment and at most {LONGEST_LIFE.days} days."
        raise ValidationFailedError(detail, errors=[FieldError("/body/expires_at", "invalid_time", detail)])
