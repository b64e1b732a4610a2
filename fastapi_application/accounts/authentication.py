"""Who sends a request: FastAPI Users' bearer transport and database strategy, and the actor dependencies."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin
from fastapi_users.authentication import AuthenticationBackend, BearerTransport
from fastapi_users.authentication.strategy.db import DatabaseStrategy
from sqlalchemy import Row, func, select, update

from fastapi_application.accounts.models import AccessToken, ApiToken, User, UserSession
from fastapi_application.accounts.tokens import ACCESS_PREFIX, API_PREFIX, hash_token, new_token
from fastapi_application.accounts.user_database import AccessTokenDatabase, UserDatabase
from fastapi_application.core.actor import Actor, Role
from fastapi_application.core.config import get_settings
from fastapi_application.core.errors import EmailNotVerifiedError, ForbiddenError, NotAuthenticatedError
from fastapi_application.crud.action import run_read_action
from fastapi_application.crud.dependencies import SessionDep

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

LAST_USE_IS_NOTED_EACH = timedelta(minutes=5)
READ = "read"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_SLOW_BODY_S = 0.05


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
        """Find the account of a session's token."""
        found = await self.read_session(token) if token else None
        return found[0] if found else None

    async def read_session(self, token: str) -> Row[tuple[User, UserSession]] | None:
        """Find account and session of a token: one statement, and one more each few minutes to note the use."""
        row = await self.database.get_session_by_token(token)
        if row is None:
            return None
        if datetime.now(UTC) - row[1].last_used_at > LAST_USE_IS_NOTED_EACH:
            await self._note_use(row[1].id)
        return row

    async def write_token(self, user: User) -> str:  # noqa: ARG002 - the library's signature
        """Refuse: a token belongs to a session, see `issue`."""
        raise TypeError

    async def issue(self, user_session: UserSession) -> str:
        """Issue a token of a session and return it."""
        expires_at = datetime.now(UTC) + timedelta(seconds=get_settings().auth.access_ttl_s)
        token = new_token(ACCESS_PREFIX)
        values = {"token": token, "user_id": user_session.user_id, "session_id": user_session.id, "expires_at": expires_at}
        await self.database.create(values)
        return token

    async def _note_use(self, identifier: uuid.UUID) -> None:
        # Whoever holds the row is about to write the same time, or to end the session: no request waits for that.
        free = select(UserSession.id).where(UserSession.id == identifier).with_for_update(skip_locked=True).scalar_subquery()
        await self.database.session.execute(
            update(UserSession).where(UserSession.id == free).values(last_used_at=func.now()).execution_options(synchronize_session=False)
        )


async def get_user_manager(session: SessionDep) -> UserManager:
    """Build the manager that FastAPI Users' dependencies ask for."""
    return UserManager(session)


async def get_strategy(session: SessionDep) -> HashedTokenStrategy:
    """Build the strategy that FastAPI Users' backend asks for."""
    return HashedTokenStrategy(session)


transport = BearerTransport(tokenUrl="/api/v1/auth/login")
backend = AuthenticationBackend(name="bearer", transport=transport, get_strategy=get_strategy)  # type: ignore[type-var]
fastapi_users = FastAPIUsers[User, uuid.UUID](get_user_manager, [backend])  # type: ignore[type-var]


@dataclass(frozen=True, slots=True)
class Identity:
    """What a token stands for. A personal API token has no session."""

    actor: Actor
    user_id: uuid.UUID
    session_id: uuid.UUID | None


async def identify(session: AsyncSession, token: str) -> Identity | None:
    """Find whom a token stands for; runs as an action."""
    if not token.isascii():
        return None
    if token.startswith(API_PREFIX):
        return await _identify_script(session, token)
    found = await HashedTokenStrategy(session).read_session(token)
    return _identity(found[0], session_id=found[1].id) if found else None


async def _identify_script(session: AsyncSession, token: str) -> Identity | None:
    valid = (ApiToken.token == hash_token(token), ApiToken.expires_at > func.now())
    row = (await session.execute(select(User, ApiToken).join(ApiToken, ApiToken.user_id == User.id).where(*valid))).one_or_none()
    if row is None:
        return None
    user, api_token = row
    if api_token.last_used_at is None or datetime.now(UTC) - api_token.last_used_at > LAST_USE_IS_NOTED_EACH:
        free = select(ApiToken.id).where(ApiToken.id == api_token.id).with_for_update(skip_locked=True).scalar_subquery()
        note = update(ApiToken).where(ApiToken.id == free).values(last_used_at=func.now())
        await session.execute(note.execution_options(synchronize_session=False))
    return _identity(user, scopes=frozenset(api_token.scopes))


def _identity(user: User, *, session_id: uuid.UUID | None = None, scopes: frozenset[str] | None = None) -> Identity | None:
    if not user.is_active:
        return None
    return Identity(Actor(user.id, user.effective_role, user.is_verified, scopes), user.id, session_id)


async def get_token(request: Request, token: Annotated[str | None, Depends(transport.scheme)]) -> str | None:
    """Return the bearer token, None for an anonymous request.

    Raises:
        NotAuthenticatedError: there is an Authorization header of another form.

    """
    if token is None and "authorization" in request.headers:
        raise NotAuthenticatedError
    return token


async def _look_up(session: AsyncSession, token: str) -> Identity:
    identity = await run_read_action(session, identify, session, token)
    session.expunge_all()
    if identity is None:
        raise NotAuthenticatedError
    return identity


async def get_identity(request: Request, session: SessionDep, token: Annotated[str | None, Depends(get_token)]) -> Identity | None:
    """Return what the request's token stands for, None for an anonymous request.

    The look-up is an action of its own, over before the handler's begins. When it fails the answer is 503, never
    an anonymous view.

    Raises:
        NotAuthenticatedError: the token is unknown, expired or ended, or its account is not active.

    """
    if token is None:
        return None
    identity = await _look_up(session, token)
    request.app.state.read_path.limiter.remember_identity(hash_token(token), identity.actor.role, identity.user_id)
    return identity


IdentityDep = Annotated[Identity | None, Depends(get_identity)]


async def get_viewer(identity: IdentityDep) -> Actor | None:
    """Return who reads: None is an anonymous reader.

    Raises:
        NotAuthenticatedError: see `get_identity`.
        ForbiddenError: it is a personal API token that may not read.

    """
    if identity is None:
        return None
    _need_scope(identity.actor, READ)
    return identity.actor


async def get_slow_body_guard(
    request: Request, session: SessionDep, token: Annotated[str | None, Depends(get_token)]
) -> Callable[[], Awaitable[None]]:
    """Return what receives the body, for those who may send one, and looks a token up again when that took a while.

    Nobody acts with rights that they have lost since they began to send. A file is received later, see `still_signed_in`.
    """

    async def receive() -> None:
        if request.method in _SAFE or request.headers.get("content-type", "").startswith("multipart/"):
            return
        before = time.monotonic()
        await request.body()
        if time.monotonic() - before > _SLOW_BODY_S:
            await still_signed_in(session, token)

    return receive


SlowBodyGuard = Annotated[Callable[[], Awaitable[None]], Depends(get_slow_body_guard)]


async def still_signed_in(session: SessionDep, token: Annotated[str | None, Depends(get_token)]) -> None:
    """Look the token up again, behind a file that may have taken long to come.

    Raises:
        NotAuthenticatedError: it has ended meanwhile.

    """
    if token is None:
        raise NotAuthenticatedError
    await _look_up(session, token)


StillSignedIn = Depends(still_signed_in)
ViewerDep = Annotated[Actor | None, Depends(get_viewer)]


async def get_known(identity: IdentityDep) -> Identity:
    """Return who acts, by a session or by a personal API token.

    Raises:
        NotAuthenticatedError: nobody.

    """
    if identity is None:
        raise NotAuthenticatedError
    return identity


KnownDep = Annotated[Identity, Depends(get_known)]


async def get_reader(identity: KnownDep) -> Identity:
    """Return who reads what only they may see.

    Raises:
        ForbiddenError: it is a personal API token that may not read.

    """
    _need_scope(identity.actor, READ)
    return identity


ReaderDep = Annotated[Identity, Depends(get_reader)]


async def get_signed_in(identity: KnownDep, receive_body: SlowBodyGuard) -> Identity:
    """Return whose account it is that is about to change: signed in, not a script.

    Raises:
        ForbiddenError: it is a personal API token.

    """
    if identity.session_id is None:
        raise ForbiddenError("A personal API token cannot manage an account: sign in.")
    await receive_body()
    return identity


SignedInDep = Annotated[Identity, Depends(get_signed_in)]


async def get_administrator(identity: SignedInDep) -> Identity:
    """Return the administrator who acts.

    Raises:
        ForbiddenError: somebody else.

    """
    if not identity.actor.has_role(Role.ADMINISTRATOR):
        raise ForbiddenError
    return identity


AccountAdministratorDep = Annotated[Identity, Depends(get_administrator)]


async def get_verified_administrator(identity: AccountAdministratorDep) -> Identity:
    """Return the administrator who changes something.

    Raises:
        EmailNotVerifiedError: the address is not proven.

    """
    return _verified(identity)


VerifiedAdministratorDep = Annotated[Identity, Depends(get_verified_administrator)]


def _verified(identity: Identity) -> Identity:
    if not identity.actor.is_verified:
        raise EmailNotVerifiedError
    return identity


def require(role: Role) -> Any:
    """Build the dependency of a route that writes: a verified account with the role or a higher one.

    The kind that a personal API token must be allowed to write is the path's: `/api/v1/<kind>/…`.
    """

    async def get_writer(request: Request, identity: KnownDep, receive_body: SlowBodyGuard) -> Actor:
        actor = _verified(identity).actor
        if not actor.has_role(role):
            raise ForbiddenError
        _need_scope(actor, f"write:{request.scope['path'].split('/')[3]}")
        await receive_body()
        return actor

    return Depends(get_writer)


AdministratorDep = Annotated[Actor, require(Role.ADMINISTRATOR)]


def _need_scope(actor: Actor, scope: str) -> None:
    if not actor.has_scope(scope):
        raise ForbiddenError(
            f"This token lacks the scope {scope}.", headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'}
        )
