"""Wrong passwords in the audit log: enough to see an attack, and never so many that the attack is the log.

Of each address and network, the 1st, 10th, 100th … failure of an hour is an entry; besides, an hour has `MOST_ENTRIES` of
accounts and as many of addresses that nobody has. The address that was typed is in none of them: it may be a password.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, literal, select

from fastapi_application.accounts import throttle
from fastapi_application.accounts.models import FAILURES_KEPT_DAYS, LOGIN_FAILED, PASSWORD_REFUSED, AuditEntry
from fastapi_application.core.request_id import request_id_var

if TYPE_CHECKING:
    import uuid

    from sqlalchemy.ext.asyncio import AsyncSession

WINDOW_S = 3600
MOST_ENTRIES = 200


async def note(session: AsyncSession, action: str, address: str, network: str, user_id: uuid.UUID | None) -> None:
    """Note that a password was wrong. Whether it becomes an entry or not, the same statements run: times tell nothing.

    Args:
        session: of the action that counts the failure.
        action: `LOGIN_FAILED` or `PASSWORD_REFUSED`.
        address: whose password it should have been, as a hash.
        network: where it came from.
        user_id: who has the address, if anybody.

    """
    hour = int(time.time()) // WINDOW_S
    failures = await throttle.tally(session, f"{hour}\n{action}\n{address}\n{network}")
    is_told = _is_power_of_ten(failures)
    entries = await throttle.tally(session, f"{hour}\n{'unknown' if user_id is None else 'known'}", only_if=is_told)
    entry: dict[str, Any] = {"subject_id": user_id, "address": network, "details": {"failures": failures}}
    if entries > MOST_ENTRIES:
        is_told = _is_power_of_ten(entries)
        entry = {"subject_id": None, "address": None, "details": {"entries_left_out": entries - MOST_ENTRIES}}
    entry |= {"action": action, "subject_kind": "users", "request_id": request_id_var.get() or None}
    values = [literal(value, getattr(AuditEntry, name).type) for name, value in entry.items()]
    await session.execute(insert(AuditEntry).from_select(list(entry), select(*values).where(literal(is_told))))


async def sweep(session: AsyncSession) -> None:
    """Delete entries whose time is over; the database lets nobody delete others."""
    is_old = AuditEntry.at < func.now() - timedelta(days=FAILURES_KEPT_DAYS)
    await session.execute(delete(AuditEntry).where(AuditEntry.action.in_((LOGIN_FAILED, PASSWORD_REFUSED)), is_old))


def _is_power_of_ten(number: int) -> bool:
    return str(number).rstrip("0") == "1"
