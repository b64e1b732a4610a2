"""What administrators do with accounts."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, func, or_, select

from fastapi_application.accounts import audit
from fastapi_application.accounts.api_tokens import ApiTokenService
from fastapi_application.accounts.models import AuditEntry, User
from fastapi_application.accounts.schemas import AuditQuery, AuditRead, NumberedPage, PageQuery, UserPatch, UserQuery, UserRead
from fastapi_application.accounts.sessions import SessionService
from fastapi_application.accounts.user_database import UserDatabase
from fastapi_application.core.errors import NotFoundError, StateConflictError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.accounts.audit import Origin
    from fastapi_application.accounts.authentication import Identity


async def keep_an_administrator(session: AsyncSession, *, without: uuid.UUID) -> None:
    """Refuse to lose the last active administrator. All of them are locked: two who leave at once take turns.

    Raises:
        StateConflictError: the account is the last one.

    """
    active = select(User.id).where(User.is_superuser, User.is_active).order_by(User.id).with_for_update(key_share=True)
    administrators = set(await session.scalars(active))
    if administrators == {without}:
        raise StateConflictError("This is the last administrator.")


class AdministrationService:
    """Lists, searches, reads and changes accounts; reads the audit log."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the service to the action's session."""
        self.session = session
        self.users = UserDatabase(session)

    async def list(self, query: UserQuery) -> NumberedPage[UserRead]:
        """Render a page of the accounts, by address."""
        statement = select(User).where(*_user_conditions(query)).order_by(User.email)
        return await self._page(statement, query, UserRead)

    async def read(self, user_id: uuid.UUID) -> UserRead:
        """Show one account.

        Raises:
            NotFoundError: there is none with this id.

        """
        return UserRead.model_validate(_found(await self.session.get(User, user_id)))

    async def change(self, user_id: uuid.UUID, body: UserPatch, administrator: Identity, origin: Origin) -> UserRead:
        """Change role and state of an account; its sessions end at once.

        Raises:
            NotFoundError: there is none with this id.
            StateConflictError: nobody would be an administrator any more, or its owner has left.
            NotAuthenticatedError: the administrator's session has ended meanwhile.

        """
        if body.is_active is False or body.is_superuser is False or body.role not in (None, "administrator"):
            await keep_an_administrator(self.session, without=user_id)
        user = _found(await self.users.lock(user_id))
        await SessionService(self.session).confirm(administrator)
        if user.is_anonymised:
            raise StateConflictError("The owner of this account has left.")
        before = {"role": str(user.effective_role), "is_active": user.is_active}
        await self.users.update(user, _rights(body))
        after = {"role": str(user.effective_role), "is_active": user.is_active}
        if after != before:
            await self._after_change(user, before, after, administrator, origin)
        return UserRead.model_validate(user)

    async def _after_change(
        self, user: User, before: dict[str, Any], after: dict[str, Any], administrator: Identity, origin: Origin
    ) -> None:
        await SessionService(self.session).end_all(user.id)
        if not user.is_active:
            await ApiTokenService(self.session).revoke_all(user.id)
        common: dict[str, Any] = {"actor_id": administrator.user_id, "user_id": user.id, "origin": origin}
        if before["role"] != after["role"]:
            audit.record(self.session, "role_changed", before=before["role"], after=after["role"], **common)
        if before["is_active"] != after["is_active"]:
            audit.record(self.session, "reactivated" if user.is_active else "deactivated", **common)

    async def audit_log(self, query: AuditQuery) -> NumberedPage[AuditRead]:
        """Render a page of the audit log, the newest first."""
        fields = ("action", "actor_id", "subject_id")
        conditions = [getattr(AuditEntry, field) == getattr(query, field) for field in fields if getattr(query, field) is not None]
        return await self._page(select(AuditEntry).where(*conditions).order_by(AuditEntry.id.desc()), query, AuditRead)

    async def _page[R: BaseModel](self, statement: Select[Any], query: PageQuery, schema: type[R]) -> NumberedPage[R]:
        total = await self.session.scalar(select(func.count()).select_from(statement.order_by(None).subquery())) or 0
        rows = await self.session.scalars(statement.limit(query.size).offset((query.page - 1) * query.size))
        items = [schema.model_validate(row) for row in rows]
        place = {"page": query.page, "size": query.size, "pages": -(-total // query.size)}
        return NumberedPage[schema](items=items, total=total, total_exact=True, **place)  # type: ignore[valid-type]


def _found(user: User | None) -> User:
    if user is None:
        raise NotFoundError("There is no such account.")
    return user


def _rights(body: UserPatch) -> dict[str, Any]:
    """Administrator is a flag beside the role that an account has without it."""
    values: dict[str, Any] = {} if body.is_active is None else {"is_active": body.is_active}
    if body.is_superuser is not None:
        values["is_superuser"] = body.is_superuser
    if body.role is not None:
        values["is_superuser"] = body.role == "administrator"
        values |= {} if body.role == "administrator" else {"role": body.role}
    return values


def _user_conditions(query: UserQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.q is not None:
        conditions.append(or_(User.email.icontains(query.q, autoescape=True), User.display_name.icontains(query.q, autoescape=True)))
    if query.role is not None:
        is_administrator = query.role == "administrator"
        conditions.append(User.is_superuser.is_(is_administrator))
        conditions += [] if is_administrator else [User.role == query.role]
    if query.is_active is not None:
        conditions.append(User.is_active.is_(query.is_active))
    return conditions
