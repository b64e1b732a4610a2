"""Tables of accounts: who they are, what they are signed in with, and what was done to them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    event,
    false,
    func,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from fastapi_application.core.actor import Role
from fastapi_application.core.db import Base

LOGIN_FAILED, PASSWORD_REFUSED = "login_failed", "password_refused"
FAILURES_KEPT_DAYS = 90
"""The addresses of networks that guess are somebody's data: entries about them are the only ones that end."""
# Whoever gets hold of the application's connection still cannot cover traces by plain statements.
_APPEND_ONLY = (
    f"""
CREATE FUNCTION audit_entry_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.action IN ('{LOGIN_FAILED}', '{PASSWORD_REFUSED}') AND OLD.at < now() - interval '{FAILURES_KEPT_DAYS} days' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$""",
    """
CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE ON audit_entry
FOR EACH ROW EXECUTE FUNCTION audit_entry_refuse_change()""",
    """
CREATE TRIGGER audit_entry_not_truncated BEFORE TRUNCATE ON audit_entry
FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_refuse_change()""",
    "ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER audit_entry_append_only",
    "ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER audit_entry_not_truncated",
)
NO_PASSWORD = "!"  # noqa: S105
"""Begins what stands in the place of a hash where no password is right."""
_ROLES = ", ".join(f"'{role}'" for role in Role if role is not Role.ADMINISTRATOR)


def _of_user(**options: Any) -> Mapped[uuid.UUID]:
    return mapped_column(ForeignKey("user.id", ondelete="CASCADE"), **options)


def _now() -> Mapped[datetime]:
    return mapped_column(DateTime(timezone=True), server_default=func.now())


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
    # Changes with the address, the password and the state, and never comes back: what mailed links are bound to.
    security_stamp: Mapped[uuid.UUID] = mapped_column(server_default=func.gen_random_uuid())
    created_at: Mapped[datetime] = _now()

    @property
    def is_anonymised(self) -> bool:
        """Whether its owner has left: nobody can be it again."""
        return self.hashed_password.startswith(NO_PASSWORD)

    @property
    def effective_role(self) -> Role:
        """The role with the administrator's flag applied."""
        return Role.ADMINISTRATOR if self.is_superuser else Role(self.role)


class UserSession(Base):
    """A sign-in and all tokens that came from it: the family that ends as one."""

    __tablename__ = "user_session"
    __table_args__ = (Index("ix_user_session_user_id", "user_id"), Index("ix_user_session_expires_at", "expires_at"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = _of_user()
    device: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = _now()
    last_used_at: Mapped[datetime] = _now()
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    # Set when a refresh token came twice. The row stays, so that further copies are recognised too.
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class AccessToken(Base):
    """A bearer token of a session, kept only as the SHA-256 of what the client has."""

    __tablename__ = "access_token"
    __table_args__ = (
        Index("ix_access_token_user_id", "user_id"),
        Index("ix_access_token_session_id", "session_id"),
        Index("ix_access_token_expires_at", "expires_at"),
    )

    token: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[uuid.UUID] = _of_user()
    # Empty in a token that a version without sessions has issued: it is good for nothing.
    session_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("user_session.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = _now()
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class RefreshToken(Base):
    """What a session is prolonged with, once; a used one is kept until it expires, to know a copy when it comes."""

    __tablename__ = "refresh_token"
    __table_args__ = (Index("ix_refresh_token_session_id", "session_id"), Index("ix_refresh_token_expires_at", "expires_at"))

    token: Mapped[str] = mapped_column(Text, primary_key=True)
    session_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user_session.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = _now()
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class ApiToken(Base):
    """A personal token for scripts: named, limited to scopes, kept as a hash and the first characters."""

    __tablename__ = "api_token"
    __table_args__ = (Index("ix_api_token_user_id", "user_id"), UniqueConstraint("token"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = _of_user()
    token: Mapped[str] = mapped_column(Text)
    prefix: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = _now()
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class KnownNetwork(Base):
    """A network that an account has signed in from; a stranger's failures elsewhere do not make its owner wait there."""

    __tablename__ = "known_network"

    user_id: Mapped[uuid.UUID] = _of_user(primary_key=True)
    network: Mapped[str] = mapped_column(Text, primary_key=True)
    last_used_at: Mapped[datetime] = _now()


class LoginFailure(Base):
    """Wrong passwords for an account, or from a network; the key is a hash, so that no address is kept."""

    __tablename__ = "login_failure"
    __table_args__ = (Index("ix_login_failure_last_at", "last_at"),)

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    last_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    blocked_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class AuditEntry(Base):
    """Who did what to which account or entry, and from where. The database refuses to change or delete a row."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("ix_audit_entry_subject_id", "subject_id"),
        Index("ix_audit_entry_actor_id", "actor_id"),
        Index("ix_audit_entry_action", "action"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.clock_timestamp())
    action: Mapped[str] = mapped_column(Text)
    # No foreign keys: the log outlives what it speaks of.
    actor_id: Mapped[uuid.UUID | None]
    subject_kind: Mapped[str] = mapped_column(Text)
    subject_id: Mapped[uuid.UUID | None]
    address: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")


for _statement in _APPEND_ONLY:
    event.listen(AuditEntry.__table__, "after_create", DDL(_statement))  # type: ignore[no-untyped-call]
