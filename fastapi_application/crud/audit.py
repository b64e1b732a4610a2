"""Where the audit log connects: every write of an entity passes here, inside its transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import uuid

    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.core.actor import Actor


class AuditHook(Protocol):
    """Writes an entry of the audit log in the caller's transaction."""

    async def __call__(
        self, session: AsyncSession, action: str, actor: Actor, /, *, kind: str, subject: uuid.UUID, comment: str | None
    ) -> None:
        """Record that the actor did this to the subject."""


_hooks: list[AuditHook] = []


def add_audit_hook(hook: AuditHook) -> None:
    """Send every later entry to this hook as well."""
    _hooks.append(hook)


def remove_audit_hook(hook: AuditHook) -> None:
    """Undo `add_audit_hook`."""
    _hooks.remove(hook)


async def record(session: AsyncSession, action: str, actor: Actor, *, kind: str, subject: uuid.UUID, comment: str | None = None) -> None:
    """Record one step, for example `articles.publish`. What fails here fails the write."""
    for hook in _hooks:
        await hook(session, f"{kind}.{action}", actor, kind=kind, subject=subject, comment=comment)
