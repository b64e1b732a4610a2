"""Who is at the other end of the connection, behind proxies that the operator trusts."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Scope

    from fastapi_application.core.config import Network


def client_address(scope: Scope, trusted_proxies: Sequence[Network]) -> str:
    """Return the client's address: the peer's, or what trusted proxies say in X-Forwarded-For.

    The header is read from the right: each trusted proxy vouches for the address before it, and the first one that
    is not trusted is the client. What stands further left was written by that client.
    """
    peer = scope.get("client")
    address = peer[0] if peer else "unknown"
    if not trusted_proxies:
        return address
    for candidate in (*reversed(_forwarded_for(scope)),):
        if not _is_trusted(address, trusted_proxies):
            break
        address = candidate
    return address


def network_of(address: str) -> str:
    """Return what one client can hardly change: the IPv4 address, or the /64 of an IPv6 one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped else str(IPv6Network((parsed, 64), strict=False))


def _forwarded_for(scope: Scope) -> list[str]:
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return [part.strip() for part in ",".join(values).split(",") if _is_address(part.strip())]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_trusted(address: str, trusted_proxies: Sequence[Network]) -> bool:
    return _is_address(address) and any(ip_address(address) in network for network in trusted_proxies)
