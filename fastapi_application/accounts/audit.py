"""The audit log: written in the transaction of what it records, never changed."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request
from sqlalchemy import insert

from fastapi_application.accounts.models import AuditEntry
from fastapi_application.core.client import client_address
from fastapi_application.core.request_id import request_id_var
from fastapi_application.crud.audit import add_audit_hook
from fastapi_application.crud.epilogue import defer

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.core.actor import Actor

MAX_DEVICE_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from."""

    address: str
    device: str


async def get_origin(request: Request) -> Origin:
    """Read the client's address and what it calls itself."""
    agent = "".join(character for character in request.headers.get("user-agent", "") if character.isprintable())
    return Origin(client_address(request.scope, request.app.state.settings.server.trusted_proxies), agent[:MAX_DEVICE_LENGTH])


OriginDep = Annotated[Origin, Depends(get_origin)]
COMMAND_LINE = Origin("", "")
"""An operator at the machine itself."""


def record(
    session: AsyncSession,
    action: str,
    *,
    actor_id: uuid.UUID | None,
    user_id: uuid.UUID | None,
    origin: Origin = COMMAND_LINE,
    **details: Any,
) -> None:
    """Note what was done to an account; `details` hold ids and names of fields, no addresses and no secrets."""
    entry = AuditEntry(
        action=action,
        actor_id=actor_id,
        subject_kind="users",
        subject_id=user_id,
        address=origin.address or None,
        request_id=request_id_var.get() or None,
        details=details,
    )
    session.add(entry)


async def record_entry(session: AsyncSession, action: str, actor: Actor, /, *, kind: str, subject: uuid.UUID, comment: str | None) -> None:
    """Note what was done to an entry of the encyclopedia; where from, the log says under the request's id."""
    entry = {"action": action, "actor_id": actor.id, "subject_kind": kind, "subject_id": subject}
    told = {"request_id": request_id_var.get() or None, "details": {"comment": comment} if comment else {}}
    defer(session, insert(AuditEntry).values(**entry, **told))


add_audit_hook(record_entry)
