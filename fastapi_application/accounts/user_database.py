"""FastAPI Users' adapters: they flush, because the action commits; tokens are hashed on their way in and out."""

from __future__ import annotations

import hashlib
import unicodedata
import uuid
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any

from fastapi_users_db_sqlalchemy import SQLAlchemyUserDatabase
from fastapi_users_db_sqlalchemy.access_token import SQLAlchemyAccessTokenDatabase
from sqlalchemy import func, select

from fastapi_application.accounts.models import AccessToken, User

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncSession


def normalise_address(email: str) -> str:
    """Return the form in which an address is stored and compared."""
    return unicodedata.normalize("NFC", email.strip()).casefold()


def hash_token(token: str) -> str:
    """SHA-256, base64url without padding: 43 characters. 256 random bits need no salt."""
    return urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode().rstrip("=")


class UserDatabase(SQLAlchemyUserDatabase[User, uuid.UUID]):  # type: ignore[type-var] # see models.User
    """Users."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the adapter to the action's session."""
        super().__init__(session, User)

    async def get_by_email(self, email: str) -> User | None:
        """Find an account by its address, whatever its case."""
        if "\0" in email:
            return None
        found = await self.session.execute(select(User).where(User.email == normalise_address(email)))
        return found.scalar_one_or_none()

    async def create(self, create_dict: dict[str, Any]) -> User:
        """Add an account."""
        user = User(id=uuid.uuid4(), **create_dict)
        self.session.add(user)
        await self.session.flush()
        return user

    async def update(self, user: User, update_dict: dict[str, Any]) -> User:
        """Change an account."""
        for key, value in update_dict.items():
            setattr(user, key, value)
        await self.session.flush()
        return user

    async def delete(self, user: User) -> None:
        """Delete an account."""
        await self.session.delete(user)
        await self.session.flush()


class AccessTokenDatabase(SQLAlchemyAccessTokenDatabase[AccessToken]):  # type: ignore[type-var]
    """Access tokens."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the adapter to the action's session."""
        super().__init__(session, AccessToken)

    async def get_by_token(self, token: str, max_age: datetime | None = None) -> AccessToken | None:
        """Find a token that has not expired."""
        conditions = [AccessToken.token == hash_token(token), AccessToken.expires_at > func.now()]
        if max_age is not None:
            conditions.append(AccessToken.created_at >= max_age)
        found = await self.session.execute(select(AccessToken).where(*conditions))
        return found.scalar_one_or_none()

    async def get_user_by_token(self, token: str) -> User | None:
        """Find the account of a token that has not expired: one statement."""
        valid = (AccessToken.token == hash_token(token), AccessToken.expires_at > func.now())
        found = await self.session.execute(select(User).join(AccessToken, AccessToken.user_id == User.id).where(*valid))
        return found.scalar_one_or_none()

    async def create(self, create_dict: dict[str, Any]) -> AccessToken:
        """Store a token as its hash."""
        access_token = AccessToken(**create_dict | {"token": hash_token(create_dict["token"])})
        self.session.add(access_token)
        await self.session.flush()
        return access_token

    async def update(self, access_token: AccessToken, update_dict: dict[str, Any]) -> AccessToken:
        """Change a token's row."""
        for key, value in update_dict.items():
            setattr(access_token, key, value)
        await self.session.flush()
        return access_token

    async def delete(self, access_token: AccessToken) -> None:
        """End a token."""
        await self.session.delete(access_token)
        await self.session.flush()
