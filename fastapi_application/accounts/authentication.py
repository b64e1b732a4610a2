"""Who sends a request: FastAPI Users' bearer transport and database strategy, and the actor dependencies."""

from __future__ import annotations

import secrets
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin
from fastapi_users.authentication import AuthenticationBackend, BearerTransport
from fastapi_users.authentication.strategy.db import DatabaseStrategy

from fastapi_application.accounts.models import AccessToken, User
from fastapi_application.accounts.user_database import AccessTokenDatabase, UserDatabase, hash_token
from fastapi_application.core.actor import Actor, Role
from fastapi_application.core.config import get_settings
from fastapi_application.core.errors import EmailNotVerifiedError, ForbiddenError, NotAuthenticatedError
from fastapi_application.crud.action import run_read_action
from fastapi_application.crud.dependencies import SessionDep

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

TOKEN_PREFIX = "fja_"  # noqa: S105 - says what a leaked token is, is not one
TOKEN_BYTES = 32


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):  # type: ignore[type-var] # see models.User
    """FastAPI Users' manager, with our secrets."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the manager to the action's session."""
        super().__init__(UserDatabase(session))
        secret = get_settings().access_token
        self.reset_password_token_secret = secret.reset_password_token_secret
        self.verification_token_secret = secret.verification_token_secret


class HashedTokenStrategy(DatabaseStrategy[User, uuid.UUID, AccessToken]):  # type: ignore[type-var]
    """Opaque tokens of 256 bits; the database has only their hashes."""

    database: AccessTokenDatabase

    def __init__(self, session: AsyncSession) -> None:
        """Bind the strategy to the action's session."""
        super().__init__(AccessTokenDatabase(session), get_settings().auth.access_ttl_s)

    async def read_token(self, token: str | None, user_manager: Any) -> User | None:  # noqa: ARG002 - the library's signature
        """Find the account of a token: one statement, not two."""
        return await self.database.get_user_by_token(token) if token and token.isascii() else None

    async def write_token(self, user: User) -> str:
        """Issue a token and return it: the only time that it is known in clear."""
        values = self._create_access_token_dict(user)
        await self.database.create(values)
        return str(values["token"])

    def _create_access_token_dict(self, user: User) -> dict[str, Any]:
        expires_at = datetime.now(UTC) + timedelta(seconds=get_settings().auth.access_ttl_s)
        token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        return {"token": token, "user_id": user.id, "expires_at": expires_at}


async def get_user_manager(session: SessionDep) -> UserManager:
    """Build the manager that FastAPI Users' dependencies ask for."""
    return UserManager(session)


async def get_strategy(session: SessionDep) -> HashedTokenStrategy:
    """Build the strategy that FastAPI Users' backend asks for."""
    return HashedTokenStrategy(session)


transport = BearerTransport(tokenUrl="/api/v1/auth/login")
backend = AuthenticationBackend(name="bearer", transport=transport, get_strategy=get_strategy)  # type: ignore[type-var]
fastapi_users = FastAPIUsers[User, uuid.UUID](get_user_manager, [backend])  # type: ignore[type-var]


async def get_token(request: Request, token: Annotated[str | None, Depends(transport.scheme)]) -> str | None:
    """Return the bearer token, None for an anonymous request.

    Raises:
        NotAuthenticatedError: there is an Authorization header of another form.

    """
    if token is None and "authorization" in request.headers:
        raise NotAuthenticatedError
    return token


async def get_viewer(request: Request, session: SessionDep, token: Annotated[str | None, Depends(get_token)]) -> Actor | None:
    """Return who reads: None is an anonymous reader.

    The look-up is an action of its own, over before the handler's begins. When it fails the answer is 503, never
    an anonymous view.

    Raises:
        NotAuthenticatedError: the token is unknown, expired or ended, or its account is not active.

    """
    if token is None:
        return None
    user = await run_read_action(session, HashedTokenStrategy(session).read_token, token, UserManager(session))
    session.expunge_all()
    if user is None or not user.is_active:
        raise NotAuthenticatedError
    request.app.state.read_path.limiter.remember_identity(hash_token(token), user.effective_role, user.id)
    return Actor(user.id, user.effective_role, user.is_verified)


ViewerDep = Annotated[Actor | None, Depends(get_viewer)]


async def get_actor(viewer: ViewerDep) -> Actor:
    """Return who acts.

    Raises:
        NotAuthenticatedError: nobody.

    """
    if viewer is None:
        raise NotAuthenticatedError
    return viewer


ActorDep = Annotated[Actor, Depends(get_actor)]


def require(role: Role) -> Any:
    """Build the dependency of a route that writes: a verified account with the role or a higher one."""

    async def get_writer(actor: ActorDep) -> Actor:
        if not actor.has_role(role):
            raise ForbiddenError
        if not actor.is_verified:
            raise EmailNotVerifiedError
        return actor

    return Depends(get_writer)


AdministratorDep = Annotated[Actor, require(Role.ADMINISTRATOR)]
