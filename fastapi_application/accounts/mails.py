"""Which mails accounts send."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import uuid

    from sqlalchemy.ext.asyncio import AsyncSession


class Mail(StrEnum):
    """The kinds of mail."""

    VERIFY = "verify"
    RESET_PASSWORD = "reset_password"  # noqa: S105
    WELCOME = "welcome"
    ALREADY_REGISTERED = "already_registered"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    NEW_SIGN_IN = "new_sign_in"
    ADDRESS_CHANGED = "address_changed"


async def mail_to_account(session: AsyncSession, mail: Mail, user_id: uuid.UUID, **values: Any) -> None:
    """Queue."""


async def mail_to_address(session: AsyncSession, mail: Mail, address: str) -> None:
    """Queue."""
