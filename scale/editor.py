"""Clients of the scaled-out service: the public at each process, and accounts behind the proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from scale.report import body

if TYPE_CHECKING:
    from scale.system import ScaledSystem

API = "/api/v1"
WHY = {"comment": "Scaled out."}
TIMEOUT_S = 30


def public(address: str) -> httpx.AsyncClient:
    """Speak as a reader."""
    return httpx.AsyncClient(base_url=address, timeout=TIMEOUT_S)


async def sign_in(system: ScaledSystem, email: str, password: str) -> httpx.AsyncClient:
    """Speak as an account, through the proxy."""
    async with public(system.address) as client:
        token = body(await client.post(f"{API}/auth/login", data={"username": email, "password": password}))["access_token"]
    return httpx.AsyncClient(base_url=system.address, timeout=TIMEOUT_S, headers={"Authorization": f"Bearer {token}"})


async def create(client: httpx.AsyncClient, kind: str, **fields: Any) -> dict[str, Any]:
    """Create an entry."""
    made: dict[str, Any] = body(await client.post(f"{API}/{kind}", params=WHY, json=fields), 201)
    return made


async def change(client: httpx.AsyncClient, path: str, **fields: Any) -> dict[str, Any]:
    """Change an entry as it is now."""
    headers = {"If-Match": (await client.get(path)).headers["etag"]}
    changed: dict[str, Any] = body(await client.patch(path, params=WHY, json=fields, headers=headers))
    return changed


async def step(client: httpx.AsyncClient, path: str, name: str) -> dict[str, Any]:
    """Make a step of an article's workflow."""
    headers = {"If-Match": (await client.get(path)).headers["etag"]}
    made: dict[str, Any] = body(await client.post(f"{path}/{name}", params=WHY, headers=headers))
    return made
