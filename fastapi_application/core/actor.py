"""Who acts: what services know of the account behind a request."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID


class Role(StrEnum):
    """What an account may do; each role may do all that the ones before it may."""

    READER = "reader"
    EDITOR = "editor"
    MODERATOR = "moderator"
    ADMINISTRATOR = "administrator"

    @property
    def rank(self) -> int:
        """Position in the order of rights."""
        return list(Role).index(self)


@dataclass(frozen=True, slots=True)
class Actor:
    """The account behind a request, detached from any session. `id` is None for the system itself (the seed)."""

    id: UUID | None
    role: Role
    is_verified: bool = True
    scopes: frozenset[str] | None = None
    """What a personal API token may do; None: all that the role may."""

    def has_scope(self, scope: str) -> bool:
        """Whether the token in use, if it is a limited one, allows this."""
        return self.scopes is None or scope in self.scopes

    def has_role(self, role: Role) -> bool:
        """Whether this actor has the role or a higher one."""
        return self.role.rank >= role.rank


SYSTEM = Actor(id=None, role=Role.ADMINISTRATOR)


def sees_unpublished(viewer: Actor | None) -> bool:
    """Whether this viewer may see what the public may not; None is an anonymous reader."""
    return viewer is not None and viewer.has_role(Role.EDITOR)
