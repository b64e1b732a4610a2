"""What the account tests ask of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.application import PASSWORD, body

if TYPE_CHECKING:
    import httpx

AUTH = "/api/v1/auth"
ME = "/api/v1/users/me"
USERS = "/api/v1/users"
AUDIT = "/api/v1/audit-log"
ANOTHER_PASSWORD = "quite another long password"


async def register(client: httpx.AsyncClient, address: str, password: str = PASSWORD, **more: Any) -> httpx.Response:
    """Register."""
    return await client.post(f"{AUTH}/register", json={"email": address, "password": password, **more})


async def log_in(client: httpx.AsyncClient, address: str, password: str = PASSWORD, **headers: str) -> dict[str, Any]:
    """Log in; return the tokens."""
    answer = await client.post(f"{AUTH}/login", data={"username": address, "password": password}, headers=headers)
    tokens: dict[str, Any] = body(answer)
    return tokens


async def refresh(client: httpx.AsyncClient, token: str) -> httpx.Response:
    """Use a refresh token."""
    return await client.post(f"{AUTH}/refresh", json={"refresh_token": token})


def bearer(token: str) -> dict[str, str]:
    """Return the header of a token."""
    return {"Authorization": f"Bearer {token}"}


async def status_of(client: httpx.AsyncClient, token: str, path: str = ME) -> int:
    """Return what a token gets."""
    return (await client.get(path, headers=bearer(token))).status_code
