"""What an account's owner, or a stranger before it, can do: register, log in, prove the address, change, leave."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from fastapi_application.accounts import audit, failed_logins, throttle
from fastapi_application.accounts.administration import keep_an_administrator
from fastapi_application.accounts.api_tokens import ApiTokenService
from fastapi_application.accounts.links import Link, check_fingerprint, read_subject
from fastapi_application.accounts.mails import mail_to_account, mail_to_address
from fastapi_application.accounts.models import LOGIN_FAILED, NO_PASSWORD, PASSWORD_REFUSED, KnownNetwork, User
from fastapi_application.accounts.schemas import ANONYMISED, Registration, TokenAnswer, UserRead, comparable_address
from fastapi_application.accounts.sessions import SessionService
from fastapi_application.accounts.throttle import Counters
from fastapi_application.accounts.user_database import UserDatabase
from fastapi_application.core.actor import Role
from fastapi_application.core.client import network_of
from fastapi_application.core.errors import InvalidCredentialsError, NotAuthenticatedError
from fastapi_application.mail.templates import MailTemplate

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.accounts.audit import Origin


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who wants to come in: perhaps an account, and what a failure counts for.

    `user_id` is None if nobody may come in; `account_id` is that of a deactivated account too.
    """

    account_id: uuid.UUID | None
    user_id: uuid.UUID | None
    hashed_password: str | None
    counters: Counters
    network: str


class AccountService:
    """Methods run inside `run_crud_action`; passwords are hashed and verified before it."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the service to the action's session."""
        self.session = session
        self.users = UserDatabase(session)
        self.sessions = SessionService(session)

    # --- coming in --------------------------------------------------------------------------------------------------

    async def create(self, email: str, hashed_password: str, role: Role, *, is_verified: bool) -> uuid.UUID:
        """Create an account at an operator's word.

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
        audit.record(self.session, "created", actor_id=None, user_id=user.id, role=str(role))
        return user.id

    async def register(self, body: Registration, hashed_password: str, origin: Origin) -> None:
        """Create an account and mail it its verification link; the owner of a taken address is told instead."""
        values = {"display_name": body.display_name, "language": body.language, "hashed_password": hashed_password}
        created = await self.users.create_unless_taken({"email": body.email, **values})
        template = MailTemplate.VERIFICATION if created else MailTemplate.ADDRESS_TAKEN
        await mail_to_address(self.session, template, body.email)
        action = "registered" if created else "registration_of_taken_address"
        audit.record(self.session, action, actor_id=created, user_id=created, origin=origin)

    async def find_candidate(self, address: str, origin: Origin) -> Candidate:
        """Find who logs in, with the same statements whether there is an account or not.

        Raises:
            LoginThrottledError: after too many failures.

        """
        network = network_of(origin.address)
        is_here = and_(KnownNetwork.user_id == User.id, KnownNetwork.network == network)
        normalised = comparable_address(address)
        statement = select(User.id, User.hashed_password, User.is_active, KnownNetwork.user_id).outerjoin(KnownNetwork, is_here)
        row = (await self.session.execute(statement.where(User.email == normalised))).one_or_none()
        counters = Counters.of(normalised, network, is_known=row is not None and row[3] is not None)
        await throttle.check(self.session, counters)
        if row is None or not row[2]:
            return Candidate(None if row is None else row[0], None, None, counters, network)
        return Candidate(row[0], row[0], row[1], counters, network)

    async def log_in(self, candidate: Candidate, origin: Origin, *, matches: bool) -> TokenAnswer | None:
        """Open a session; a wrong password is counted and answers None, because the count must be saved.

        Raises:
            LoginThrottledError: others have failed meanwhile; what this attempt found out is not told.
            InvalidCredentialsError: the password was changed meanwhile.

        """
        if not matches or candidate.user_id is None:
            await self._note_failure(LOGIN_FAILED, candidate)
            return None
        await throttle.check(self.session, candidate.counters, lock=True)
        await self._lock_verified(candidate.user_id, candidate.hashed_password)
        await throttle.forgive(self.session, candidate.counters.account)
        await self._note_network(candidate.user_id, candidate.network, origin)
        return await self.sessions.open(candidate.user_id, origin)

    async def _note_failure(self, action: str, candidate: Candidate) -> None:
        await throttle.count_failure(self.session, candidate.counters)
        await failed_logins.note(self.session, action, candidate.counters.account, candidate.network, candidate.account_id)

    async def _note_network(self, user_id: uuid.UUID, network: str, origin: Origin) -> None:
        """Remember where the account signs in from; tell the owner of a place that is new."""
        known = set(await self.session.scalars(select(KnownNetwork.network).where(KnownNetwork.user_id == user_id)))
        note = insert(KnownNetwork).values(user_id=user_id, network=network)
        note = note.on_conflict_do_update(index_elements=["user_id", "network"], set_={"last_used_at": func.now()})
        await self.session.execute(note)
        if known and network not in known:
            await mail_to_account(self.session, MailTemplate.NEW_SIGN_IN, user_id, device=origin.device, address=origin.address)

    # --- links ------------------------------------------------------------------------------------------------------

    async def send_link(self, template: MailTemplate, email: str) -> None:
        """Ask for a mail with a link; whether there is such an account, the worker finds out, not the client."""
        await mail_to_address(self.session, template, email)

    async def verify(self, token: str, origin: Origin) -> None:
        """Accept the address as proven.

        Raises:
            TokenInvalidError: the link is not valid, or not any more.

        """
        user_id, fingerprint = read_subject(Link.VERIFY, token)
        user = check_fingerprint(Link.VERIFY, await self.users.lock(user_id), fingerprint)
        await self.users.update(user, {"is_verified": True})
        await mail_to_account(self.session, MailTemplate.WELCOME, user.id)
        audit.record(self.session, "verified", actor_id=user.id, user_id=user.id, origin=origin)

    async def address_for_reset(self, token: str) -> str:
        """Return the address of the account that a reset link belongs to: the new password must not be it.

        Raises:
            TokenInvalidError: the link is not valid, or not any more.

        """
        user_id, fingerprint = read_subject(Link.RESET, token)
        return check_fingerprint(Link.RESET, await self.session.get(User, user_id), fingerprint).email

    async def reset_password(self, token: str, hashed_password: str, origin: Origin) -> None:
        """Set a new password and end all sessions.

        Raises:
            TokenInvalidError: the link is not valid, or not any more.

        """
        user_id, fingerprint = read_subject(Link.RESET, token)
        user = check_fingerprint(Link.RESET, await self.users.lock(user_id), fingerprint)
        await self._set_password(user, hashed_password)
        # Whoever reads the mailbox is the owner: failures, a stranger's or their own, do not keep them waiting.
        networks = await self.session.scalars(select(KnownNetwork.network).where(KnownNetwork.user_id == user.id))
        await throttle.forgive_address(self.session, user.email, list(networks))
        audit.record(self.session, "password_reset", actor_id=user.id, user_id=user.id, origin=origin)

    # --- one's own account ------------------------------------------------------------------------------------------

    async def read(self, user_id: uuid.UUID) -> UserRead:
        """Show one's own account."""
        return UserRead.model_validate(await self._own(user_id))

    async def find_own(self, user_id: uuid.UUID, origin: Origin) -> tuple[str, Candidate]:
        """Return the address, and what the current password is compared with.

        Raises:
            LoginThrottledError: after too many failures.

        """
        user = await self._own(user_id)
        return user.email, await self.find_candidate(user.email, origin)

    async def count_failure(self, candidate: Candidate) -> None:
        """Count a wrong current password."""
        await self._note_failure(PASSWORD_REFUSED, candidate)

    async def change_own(self, user_id: uuid.UUID, changes: dict[str, Any], hashed_before: str | None, origin: Origin) -> UserRead:
        """Change one's own account: name and language freely, address and `hashed_password` after the current password.

        Raises:
            DuplicateError: the new address is taken (from the constraint).
            InvalidCredentialsError: the password was changed meanwhile.

        """
        changes = dict(changes)  # an action may run twice
        user = await (self._own(user_id) if hashed_before is None else self._lock_verified(user_id, hashed_before))
        details: dict[str, Any] = {"actor_id": user_id, "user_id": user_id, "origin": origin}
        if (hashed_password := changes.pop("hashed_password", None)) is not None:
            await self._set_password(user, hashed_password)
            audit.record(self.session, "password_changed", **details)
        if changes.get("email", user.email) != user.email:
            if user.is_verified:  # else the old address may be a stranger's, who would be bombed with mails
                await mail_to_account(self.session, MailTemplate.ADDRESS_CHANGED, user_id, recipient=user.email)
            changes["is_verified"] = False
            audit.record(self.session, "address_changed", **details)
        await self.users.update(user, changes)
        if "is_verified" in changes:
            await mail_to_address(self.session, MailTemplate.VERIFICATION, user.email)
        return UserRead.model_validate(user)

    async def leave(self, user_id: uuid.UUID, hashed_before: str | None, origin: Origin) -> None:
        """Anonymise one's own account: what it wrote stays, who it was does not.

        Raises:
            StateConflictError: it is the last administrator.
            InvalidCredentialsError: the password was changed meanwhile.

        """
        await keep_an_administrator(self.session, without=user_id)
        user = await self._lock_verified(user_id, hashed_before)
        await self.sessions.end_all(user_id)
        await ApiTokenService(self.session).revoke_all(user_id)
        await self.session.execute(delete(KnownNetwork).where(KnownNetwork.user_id == user_id))
        nobody = {"email": ANONYMISED.format(id=user_id), "display_name": None, "hashed_password": NO_PASSWORD + secrets.token_hex(8)}
        await self.users.update(user, {**nobody, "is_active": False, "is_verified": False, "is_superuser": False, "role": Role.READER})
        audit.record(self.session, "left", actor_id=user_id, user_id=user_id, origin=origin)

    # --- steps ------------------------------------------------------------------------------------------------------

    async def _own(self, user_id: uuid.UUID) -> User:
        user = await self.session.get(User, user_id)
        if user is None:  # pragma: no cover - accounts are never deleted
            raise NotAuthenticatedError
        return user

    async def _lock_verified(self, user_id: uuid.UUID, hashed_before: str | None) -> User:
        """Lock the account whose password was verified before the action; that it still is the same, is certain only now."""
        user = await self.users.lock(user_id)
        if user is None or not user.is_active or user.hashed_password != hashed_before:
            raise InvalidCredentialsError
        return user

    async def _set_password(self, user: User, hashed_password: str) -> None:
        await self.users.update(user, {"hashed_password": hashed_password})
        await self.sessions.end_all(user.id)
        await ApiTokenService(self.session).revoke_all(user.id)
        await mail_to_account(self.session, MailTemplate.PASSWORD_CHANGED, user.id)
