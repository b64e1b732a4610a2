"""Wrong passwords in the audit log: enough to see an attack, and never so many that the attack is the log.

Of each account and network, or of a network where nobody has the address, the 1st, 10th, 100th … failure of an hour is an
entry; besides, an hour has `MOST_ENTRIES` of accounts and as many of unknown addresses. The address that was typed is in
none of them: it may be a password.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, func

from fastapi_application.accounts import audit, throttle
from fastapi_application.accounts.audit import Origin
from fastapi_application.accounts.models import FAILURES_KEPT_DAYS, LOGIN_FAILED, PASSWORD_REFUSED, AuditEntry

if TYPE_CHECKING:
    import uuid

    from sqlalchemy.ext.asyncio import AsyncSession

WINDOW_S = 3600
MOST_ENTRIES = 200


async def note(session: AsyncSession, action: str, user_id: uuid.UUID | None, network: str) -> None:
    """Note that a password was wrong.

    Args:
        session: of the action that counts the failure.
        action: `LOGIN_FAILED` or `PASSWORD_REFUSED`.
        user_id: whose password it should have been, if anybody's.
        network: where it came from.

    """
    hour = int(time.time()) // WINDOW_S
    failures = await throttle.tally(session, f"{hour}\n{action}\n{user_id}\n{network}")
    if not _is_power_of_ten(failures):
        return
    entries = await throttle.tally(session, f"{hour}\n{'unknown' if user_id is None else 'known'}")
    if entries <= MOST_ENTRIES:
        audit.record(session, action, actor_id=None, user_id=user_id, origin=Origin(network, ""), failures=failures)
    elif _is_power_of_ten(entries):
        audit.record(session, action, actor_id=None, user_id=None, origin=Origin("", ""), entries_left_out=entries - MOST_ENTRIES)


async def sweep(session: AsyncSession) -> None:
    """Delete entries whose time is over; the database lets nobody delete others."""
    is_old = AuditEntry.at < func.now() - timedelta(days=FAILURES_KEPT_DAYS)
    await session.execute(delete(AuditEntry).where(AuditEntry.action.in_((LOGIN_FAILED, PASSWORD_REFUSED)), is_old))


def _is_power_of_ten(number: int) -> bool:
    return str(number).rstrip("0") == "1"
