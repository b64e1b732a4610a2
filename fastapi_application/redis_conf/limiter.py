"""Limits: policies, who is charged, and the headers that tell a client where it stands.

The count is kept in Redis, on its clock (GCRA). Each process counts too, always: when Redis is away it goes by its own
count, against its share of the quota, so that nobody gets a second budget meanwhile. What was allowed
without Redis it does not know of afterwards.
"""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from fastapi_application.core import metrics
from fastapi_application.redis_conf.link import RedisAwayError, RedisLink, RedisReplyError, Script, bulk, pack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi_application.core.quota import Quota

ANONYMOUS = "anonymous"
IDENTITY_LIFE_S = 60
MAX_CLIENTS = 20_000
_IPV6_NETWORK_BITS = 64
_ADMIT = Script("gcra", "admit")


@dataclass(frozen=True, slots=True)
class Policy:
    """A quota per window, under a name."""

    name: str
    quota: int
    window_s: int
    words: tuple[bytes, bytes] = field(init=False)
    """Interval between requests and window, in µs, as the scripts read them."""

    def __post_init__(self) -> None:
        """Precompute."""
        window = self.window_s * 1_000_000
        object.__setattr__(self, "words", (repr(window / self.quota).encode(), str(window).encode()))


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a client stands under one policy."""

    policy: Policy
    left: int
    full_s: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may go on. `wait_s` is 0, or the seconds after which it may."""

    wait_s: int
    standings: tuple[Standing, ...] = ()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the fields of the IETF draft: policies, and what is left of each and the seconds until it is full."""
        if not self.standings:
            return []
        policies = ", ".join(f'"{item.policy.name}";q={item.policy.quota};w={item.policy.window_s}' for item in self.standings)
        left = ", ".join(f'"{item.policy.name}";r={item.left};t={item.full_s}' for item in self.standings)
        return [(b"ratelimit-policy", policies.encode()), (b"ratelimit", left.encode())]


def client_network(address: str) -> str:
    """Return whom an address stands for: itself, or its /64 where it is IPv6 (one household, one server)."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    prefix = int(parsed) >> (128 - _IPV6_NETWORK_BITS)
    return f"{IPv6Address(prefix << (128 - _IPV6_NETWORK_BITS))}/{_IPV6_NETWORK_BITS}"


class LocalCounts:
    """The counts of this process, for when Redis is away: its share of each quota. Bounded."""

    def __init__(self, workers: int) -> None:
        """Share quotas between this many processes."""
        self._workers = workers
        self._full_at: dict[tuple[str, str], float] = {}

    def count(self, policy: Policy, client: str) -> None:
        """Note a request that Redis let through."""
        now = time.monotonic()
        interval = policy.window_s / self._share(policy)
        at = max(self._full_at.get((policy.name, client), now), now) + interval
        self._keep((policy.name, client), min(at, now + policy.window_s))

    def ask(self, policies: tuple[Policy, ...], client: str) -> Verdict:
        """Decide without Redis; all policies have room, or none is charged."""
        now = time.monotonic()
        states = [(policy, max(self._full_at.get((policy.name, client), now), now)) for policy in policies]
        waits = [at + policy.window_s / self._share(policy) - now - policy.window_s for policy, at in states]
        wait = max(0, *(math.ceil(wait - 1e-6) for wait in waits))
        if not wait:
            for policy in policies:
                self.count(policy, client)
        return Verdict(wait, tuple(self._standing(policy, client, now) for policy in policies))

    def _standing(self, policy: Policy, client: str, now: float) -> Standing:
        full = max(self._full_at.get((policy.name, client), now) - now, 0.0)
        left = math.floor((policy.window_s - full) / policy.window_s * self._share(policy) + 1e-6)
        return Standing(policy, max(left, 0), math.ceil(full))

    def _share(self, policy: Policy) -> int:
        return max(1, policy.quota // self._workers)

    def _keep(self, key: tuple[str, str], at: float) -> None:
        if key not in self._full_at and len(self._full_at) >= MAX_CLIENTS:
            now = time.monotonic()
            self._full_at = {known: then for known, then in self._full_at.items() if then > now}
            while len(self._full_at) >= MAX_CLIENTS:  # all of them busy: those that were met first go
                del self._full_at[next(iter(self._full_at))]
        self._full_at[key] = at


@dataclass(slots=True)
class _Identity:
    account: str
    until: float


class Limiter:
    """The limits of one process."""

    def __init__(self, link: RedisLink, namespace: str, quotas: Mapping[str, Quota], *, enabled: bool, workers: int) -> None:
        """Make the policies.

        Args:
            link: the way to Redis.
            namespace: of the keys; deployments may share a Redis.
            quotas: by policy; those of roles have the roles' names.
            enabled: False lets everything through and says nothing.
            workers: how many processes share a quota while Redis is away.

        """
        self.link = link
        self.enabled = enabled
        self.policies = {name: Policy(name, quota.requests, quota.seconds) for name, quota in quotas.items()}
        self.local = LocalCounts(workers)
        self.prefix = f"frankenjet:{namespace}:limit:"
        self._identity_prefix = f"frankenjet:{namespace}:identity:"
        self._identities: dict[str, _Identity] = {}
        roles = [policy for name, policy in self.policies.items() if name in ("reader", "editor", "moderator", "administrator")]
        words = [word for policy in roles for word in (policy.name.encode(), *policy.words)]
        self._roles = (len(words) + 1, bulk(len(roles)) + b"".join(map(bulk, words)))
        self._prefix_word = bulk(self.prefix)

    async def admit(self, names: tuple[str, ...], address: str, token_hash: str | None = None) -> Verdict:
        """Charge a request under these policies; a known account is charged instead of its address, under its role's."""
        if not self.enabled:
            return Verdict(0)
        policies = tuple(self.policies[name] for name in names)
        client = client_network(address)
        try:
            wait, *standings = await self._admit(policies, client, token_hash)
        except RedisAwayError:
            return self._without_redis(policies, client, token_hash)
        except RedisReplyError as error:
            self.link.complain(error)
            return self._without_redis(policies, client, token_hash)
        verdict = Verdict(wait, tuple(self._standing(*standings[index : index + 3]) for index in range(0, len(standings), 3)))
        for standing in verdict.standings[:1]:
            metrics.limiter_decided(standing.policy.name, allowed=not wait)
        if not wait:
            self._count(verdict, client, token_hash)
        return verdict

    async def _admit(self, policies: tuple[Policy, ...], client: str, token_hash: str | None) -> list[Any]:
        length, roles = self._roles
        identity = f"{self._identity_prefix}{token_hash}" if token_hash else ""
        words = [word for policy in policies for word in (policy.name.encode(), *policy.words)]
        tail = b"".join((bulk(1), bulk(identity), self._prefix_word, bulk(client), roles, *map(bulk, words)))
        reply: list[Any] = await self.link.run_encoded(_ADMIT, 4 + length + len(words), tail)
        return reply

    def _standing(self, name: bytes, left: int, full_s: int) -> Standing:
        return Standing(self.policies[name.decode()], left, full_s)

    def _count(self, verdict: Verdict, client: str, token_hash: str | None) -> None:
        account = self._account(token_hash)
        for standing in verdict.standings:
            self.local.count(standing.policy, account[1] if account else client)

    def _without_redis(self, policies: tuple[Policy, ...], client: str, token_hash: str | None) -> Verdict:
        account = self._account(token_hash)
        if account is not None and account[0] in self.policies:
            policies, client = (self.policies[account[0]], *policies[1:]), account[1]
        verdict = self.local.ask(policies, client)
        metrics.limiter_decided(policies[0].name, allowed=not verdict.wait_s, alone=True)
        return verdict

    def _account(self, token_hash: str | None) -> tuple[str, str] | None:
        known = self._identities.get(token_hash) if token_hash else None
        if known is None or known.until < time.monotonic():
            return None
        role, _, user = known.account.partition(":")
        return role, user

    # --- who is behind a token --------------------------------------------------------------------------------------

    def remember_identity(self, token_hash: str, role: str, user_id: object) -> None:
        """Let the requests of a token be charged to its account for a minute. For limits only, never for access."""
        account = f"{role}:{user_id}"
        if len(self._identities) >= MAX_CLIENTS:
            self._identities.clear()
        self._identities[token_hash] = _Identity(account, time.monotonic() + IDENTITY_LIFE_S)
        self._send("SET", self._identity_prefix + token_hash, account, "EX", IDENTITY_LIFE_S)

    def forget_identity(self, token_hash: str) -> None:
        """Charge a token's requests to their address again: it has ended, or its account has another role."""
        self._identities.pop(token_hash, None)
        self._send("DEL", self._identity_prefix + token_hash)

    def _send(self, *words: str | int) -> None:
        """Send what nobody waits for."""
        with contextlib.suppress(RedisAwayError):
            self.link.send(pack(*words))
