"""What accounts can do."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import delete, func

from fastapi_application.accounts.authentication import HashedTokenStrategy, UserManager
from fastapi_application.accounts.models import AccessToken
from fastapi_application.accounts.passwords import MAX_LENGTH, MIN_LENGTH
from fastapi_application.accounts.schemas import TokenAnswer
from fastapi_application.accounts.user_database import UserDatabase, hash_token, normalise_address
from fastapi_application.core.actor import Role
from fastapi_application.core.config import get_settings
from fastapi_application.core.errors import FieldError, ValidationFailedError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession


def check_password(password: str) -> None:
    """Refuse a password that is too short or too long.

    Raises:
        ValidationFailedError: names the field.

    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        detail = f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters."
        raise ValidationFailedError(detail, errors=[FieldError("/body/password", "invalid_password", detail)])


def check_address(email: str) -> str:
    """Return the address in the form in which it is stored.

    Raises:
        ValidationFailedError: it is not an address.

    """
    try:
        # Reserved domains are fine: a local encyclopedia has editors at example.org.
        validate_email(email, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        detail = "This is not an address."
        raise ValidationFailedError(detail, errors=[FieldError("/body/email", "invalid_address", detail)]) from None
    return normalise_address(email)


class AccountService:
    """Accounts and their tokens. Methods run inside `run_crud_action`; passwords are hashed before it."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the service to the action's session."""
        self.session = session
        self.users = UserDatabase(session)
        self.manager = UserManager(session)
        self.strategy = HashedTokenStrategy(session)

    async def create(self, email: str, hashed_password: str, role: Role, *, is_verified: bool) -> uuid.UUID:
        """Create an account.

        Raises:
            DuplicateError: the address is taken (from the constraint).

        """
        is_administrator = role is Role.ADMINISTRATOR
        user = await self.users.create(
            {
                "email": email,
                "hashed_password": hashed_password,
                "role": Role.MODERATOR if is_administrator else role,
                "is_superuser": is_administrator,
                "is_verified": is_verified,
                "is_active": True,
            },
        )
        return user.id

    async def find_for_login(self, address: str) -> tuple[uuid.UUID, str] | None:
        """Return id and password hash of the active account with this address."""
        user = await self.users.get_by_email(address)
        return (user.id, user.hashed_password) if user is not None and user.is_active else None

    async def issue_token(self, user_id: uuid.UUID) -> TokenAnswer:
        """Issue an access token, and sweep the user's expired ones."""
        user = await self.manager.get(user_id)
        expired = delete(AccessToken).where(AccessToken.user_id == user_id, AccessToken.expires_at <= func.now())
        await self.session.execute(expired)
        token = await self.strategy.write_token(user)
        return TokenAnswer(access_token=token, token_type="bearer", expires_in=get_settings().auth.access_ttl_s)  # noqa: S106

    async def end_token(self, token: str) -> None:
        """End a token; one that is not there has ended already."""
        await self.session.execute(delete(AccessToken).where(AccessToken.token == hash_token(token)))
