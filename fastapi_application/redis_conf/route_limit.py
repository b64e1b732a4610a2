"""Limits of single routes that write: fastapi-limiter's dependency, over our limiter.

Reads have theirs at the edge, where cached answers are counted too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Depends, Request, Response
from fastapi_limiter.depends import RateLimiter

from fastapi_application.core.client import client_address
from fastapi_application.core.errors import RateLimitedError
from fastapi_application.redis_conf.limiter import Limiter, Verdict

if TYPE_CHECKING:
    from fastapi_application.redis_conf.read_path import ReadPath

STANDINGS = "frankenjet.standings"
"""The list in the scope that the edge makes its headers of."""


class PolicyLimiter:
    """One policy as fastapi-limiter asks for it. Never waits: a client that must is told for how long."""

    def __init__(self, limiter: Limiter, policy: str) -> None:
        """Choose the policy."""
        self._limiter = limiter
        self._policy = policy
        self.verdict = Verdict(0)

    async def try_acquire_async(self, name: str, blocking: bool = False) -> bool:  # noqa: ARG002, FBT002 - the library's signature
        """Charge a client; `verdict` says more than the result."""
        self.verdict = await self._limiter.admit((self._policy,), name)
        return self.verdict.wait_s == 0


async def client_of(request: Request) -> str:
    """Return the client's address, which it cannot choose."""
    return client_address(request.scope, request.app.state.settings.server.trusted_proxies)


class RouteLimit(RateLimiter):
    """A policy for a route. The library's own `__call__` fails where a router is included."""

    def __init__(self, policy: str) -> None:
        """Name the policy: one of `RATE_LIMIT__*`."""
        super().__init__(limiter=None, identifier=client_of)  # type: ignore[arg-type] # that of the application that serves
        self.policy = policy

    async def __call__(self, request: Request, response: Response) -> None:  # noqa: ARG002 - the library's signature
        """Charge the request.

        Raises:
            RateLimitedError: the client has used up its quota.

        """
        read_path: ReadPath = request.app.state.read_path
        limiter = PolicyLimiter(read_path.limiter, self.policy)
        allowed = await limiter.try_acquire_async(await self.identifier(request), blocking=self.blocking)
        request.scope.get(STANDINGS, []).extend(limiter.verdict.standings)
        if not allowed:
            raise RateLimitedError(limiter.verdict.wait_s)


LOGIN_LIMIT = Depends(RouteLimit("login"))
REGISTER_LIMIT = Depends(RouteLimit("register"))
RESET_LIMIT = Depends(RouteLimit("password_reset"))
UPLOAD_LIMIT = Depends(RouteLimit("upload"))
