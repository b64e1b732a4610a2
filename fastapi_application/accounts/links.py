"""The tokens of mailed links: signed with FastAPI Users' JWT helpers, bound to the state of the account.

A link works once and dies when the address, the password or the state changes, for good: it carries a fingerprint of
them, and of a stamp that never comes back as they may.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from enum import Enum
from typing import TYPE_CHECKING

import jwt
from fastapi_users.jwt import decode_jwt, generate_jwt

from fastapi_application.core.config import get_settings
from fastapi_application.core.errors import TokenInvalidError

if TYPE_CHECKING:
    from fastapi_application.accounts.models import User

_HOUR_S = 3600


class Link(Enum):
    """What a link is for: its audience, and how long it lives in seconds."""

    VERIFY = ("frankenjet:verify", 24 * _HOUR_S)
    RESET = ("frankenjet:reset", _HOUR_S)

    @property
    def audience(self) -> str:
        """The JWT's audience: a link of one kind is not one of another."""
        return self.value[0]

    @property
    def lifetime_s(self) -> int:
        """Seconds."""
        return self.value[1]

    @property
    def secret(self) -> str:
        """What signs it."""
        settings = get_settings().access_token
        secret = settings.verification_token_secret if self is Link.VERIFY else settings.reset_password_token_secret
        return secret.get_secret_value()


def make_token(link: Link, user: User, lifetime_s: int | None = None) -> str:
    """Sign a token for the account as it is now."""
    claims = {"sub": str(user.id), "aud": link.audience, "fgpt": _fingerprint(link, user)}
    return generate_jwt(claims, link.secret, link.lifetime_s if lifetime_s is None else lifetime_s)


def read_subject(link: Link, token: str) -> tuple[uuid.UUID, str]:
    """Return the account's id and the fingerprint of a genuine token.

    Raises:
        TokenInvalidError: it is not genuine, or has expired.

    """
    try:
        claims = decode_jwt(token, link.secret, [link.audience])
        return uuid.UUID(claims["sub"]), str(claims["fgpt"])
    except (jwt.PyJWTError, KeyError, ValueError, TypeError, AttributeError):
        raise TokenInvalidError from None


def check_fingerprint(link: Link, user: User | None, fingerprint: str) -> User:
    """Return the account if it still is as it was when the token was made.

    Raises:
        TokenInvalidError: it has changed, is not active, or is gone.

    """
    if user is None or not user.is_active or not hmac.compare_digest(_fingerprint(link, user), fingerprint):
        raise TokenInvalidError
    return user


def _fingerprint(link: Link, user: User) -> str:
    state = [str(user.security_stamp), user.email, user.hashed_password, *([str(user.is_verified)] if link is Link.VERIFY else [])]
    return hmac.new(link.secret.encode(), "\n".join(state).encode(), hashlib.sha256).hexdigest()[:32]
