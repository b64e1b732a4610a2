"""FastAPI Users' adapters: they flush, because the action commits; tokens are hashed on their way in and out."""

from __future__ import annotations

import unicodedata
import uuid
from typing import TYPE_CHECKING, Any

from fastapi_users_db_sqlalchemy import SQLAlchemyUserDatabase
from fastapi_users_db_sqlalchemy.access_token import SQLAlchemyAccessTokenDatabase
from sqlalchemy import Row, func, select
from sqlalchemy.dialects.postgresql import insert

from fastapi_application.accounts.models import AccessToken, User, UserSession
from fastapi_application.accounts.tokens import hash_token

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncSession


_KILLS_LINKS = ("email", "hashed_password", "is_active")


def normalise_address(email: str) -> str:
    """Return the form in which an address is stored and compared.

    Lower case, not folded: folding makes another domain of one with ß, and the mail would go to a stranger.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", email.strip()).lower())


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

    async def lock(self, identifier: uuid.UUID) -> User | None:
        """Find an account and keep others from changing it until the action ends.

        Tokens that refer to it may still be issued (`NO KEY UPDATE`): a refresh holds its session's row and waits for
        nobody who is about to end that session.
        """
        statement = select(User).where(User.id == identifier).with_for_update(key_share=True).execution_options(populate_existing=True)
        return (await self.session.execute(statement)).scalar_one_or_none()

    async def create(self, create_dict: dict[str, Any]) -> User:
        """Add an account."""
        user = User(id=uuid.uuid4(), **create_dict)
        self.session.add(user)
        await self.session.flush()
        return user

    async def create_unless_taken(self, values: dict[str, Any]) -> uuid.UUID | None:
        """Add an account and return its id; None if the address is taken, by a registration at this moment too."""
        statement = insert(User).values(id=uuid.uuid4(), **values).on_conflict_do_nothing(index_elements=["email"])
        identifier: uuid.UUID | None = (await self.session.execute(statement.returning(User.id))).scalar_one_or_none()
        return identifier

    async def update(self, user: User, update_dict: dict[str, Any]) -> User:
        """Change an account. Links that were mailed before do not outlive a change of address, password or state."""
        if any(key in update_dict and update_dict[key] != getattr(user, key) for key in _KILLS_LINKS):
            user.security_stamp = uuid.uuid4()
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

    async def get_session_by_token(self, token: str) -> Row[tuple[User, UserSession]] | None:
        """Find account and session of a token that has not expired: one statement."""
        valid = (AccessToken.token == hash_token(token), AccessToken.expires_at > func.now())
        joined = select(User, UserSession).join(UserSession, UserSession.user_id == User.id)
        statement = joined.join(AccessToken, AccessToken.session_id == UserSession.id).where(*valid, UserSession.ended_at.is_(None))
        return (await self.session.execute(statement)).one_or_none()

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
