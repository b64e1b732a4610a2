"""Tables of accounts and of their access tokens."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import Boolean, CheckConstraint, DateTime, ForeignKey, Index, Text, false, func, true
from sqlalchemy.orm import Mapped, mapped_column

from fastapi_application.core.actor import Role
from fastapi_application.core.db import Base

_ROLES = ", ".join(f"'{role}'" for role in Role if role is not Role.ADMINISTRATOR)


class User(Base):
    """An account. `is_superuser` is the administrator; `role` is what the account has without it.

    FastAPI Users' protocols ask for plain attributes; mypy does not see that `Mapped` ones are that on an instance,
    hence the `type-var` ignores where its classes are bound to this one.

    The address is stored as `normalise_address` returns it, so the unique constraint is case-insensitive.
    """

    __tablename__ = "user"
    __table_args__ = (CheckConstraint(f"role IN ({_ROLES})", name="role_known"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(Text, unique=True)
    hashed_password: Mapped[str] = mapped_column(Text)
    display_name: Mapped[str | None] = mapped_column(Text)
    language: Mapped[str] = mapped_column(Text, server_default="en")
    role: Mapped[str] = mapped_column(Text, server_default=Role.READER)
    is_superuser: Mapped[bool] = mapped_column(Boolean, server_default=false())
    is_active: Mapped[bool] = mapped_column(Boolean, server_default=true())
    is_verified: Mapped[bool] = mapped_column(Boolean, server_default=false())
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    @property
    def effective_role(self) -> Role:
        """The role with the administrator's flag applied."""
        return Role.ADMINISTRATOR if self.is_superuser else Role(self.role)


class AccessToken(Base):
    """A bearer token, kept only as the SHA-256 of what the client has."""

    __tablename__ = "access_token"
    __table_args__ = (Index("ix_access_token_user_id", "user_id"), Index("ix_access_token_expires_at", "expires_at"))

    token: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
