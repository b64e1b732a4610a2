"""Limits that a client can obey: what is charged, what is said, and what happens without Redis."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from asgi_lifespan import LifespanManager

from fastapi_application.accounts.tokens import hash_token
from fastapi_application.core.actor import Role
from fastapi_application.core.config import RateLimitSettings, RedisSettings, ServerSettings, get_settings
from fastapi_application.core.quota import Quota
from fastapi_application.create_fastapi_app import create_fastapi_app
from fastapi_application.middleware import rate_limit, wrap_in_edge
from fastapi_application.redis_conf import limiter as limiter_module
from fastapi_application.redis_conf.limiter import MAX_CLIENTS, LocalCounts, Policy, client_network
from tests.support.application import Application, assert_problem, body
from tests.support.network import door

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LIVE = "/api/v1/health/live"


@asynccontextmanager
async def limited(*, server: ServerSettings | None = None, redis: RedisSettings | None = None, **quotas: str) -> AsyncIterator[Application]:
    """Start an application with these quotas; all others are generous."""
    settings = get_settings()
    values = {name: quota.model_dump() for name, quota in settings.rate_limit.quotas.items()} | quotas
    changes: dict[str, Any] = {"rate_limit": RateLimitSettings(**values)}
    changes |= {"server": server} if server else {}
    changes |= {"redis": redis} if redis else {}
    app = create_fastapi_app(settings.model_copy(update=changes))
    async with LifespanManager(wrap_in_edge(app, app.state.settings)) as manager:
        yield Application(app, httpx.ASGITransport(manager.app, raise_app_exceptions=False))


_addresses = iter(f"10.{a}.{b}.{c}" for a in range(256) for b in range(256) for c in range(1, 255))


def somebody(application: Application, address: str | None = None, token: str | None = None) -> httpx.AsyncClient:
    """Return a client of an address that no test has had."""
    transport = httpx.ASGITransport(application.transport.app, raise_app_exceptions=False, client=(address or next(_addresses), 1))
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)


def left(answer: httpx.Response) -> int:
    """Return what the answer says is left under the first policy."""
    return int(answer.headers["ratelimit"].partition(";r=")[2].partition(";")[0])


async def test_a_quota_is_a_burst_and_then_429_with_the_time_to_wait(database: str) -> None:
    async with limited(anonymous="5/3600") as application, somebody(application) as client, somebody(application) as other:
        answers = [await client.get("/api/v1/tags") for _ in range(5)]
        assert {answer.status_code for answer in answers} == {200}
        assert [left(answer) for answer in answers] == [4, 3, 2, 1, 0]
        assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"anonymous";q=5;w=3600'}
        refused = await client.get("/api/v1/tags")
        assert_problem(refused, 429, "rate_limited")
        # One request fits again after a fifth of the window.
        assert 700 <= int(refused.headers["retry-after"]) <= 720
        assert left(refused) == 0
        assert refused.headers["cache-control"] == "no-store"
        assert (await client.post("/api/v1/tags", json={})).status_code == 429
        assert (await other.get("/api/v1/tags")).status_code == 200


async def test_who_waits_as_long_as_told_is_let_through(database: str) -> None:
    async with limited(anonymous="1/1") as application, somebody(application) as client:
        assert (await client.get("/api/v1/tags")).status_code == 200
        refused = await client.get("/api/v1/tags")
        while refused.status_code != 429:  # a second has passed between the two
            refused = await client.get("/api/v1/tags")
        assert refused.headers["retry-after"] == "1"
        await asyncio.sleep(1)
        assert (await client.get("/api/v1/tags")).status_code == 200


async def test_every_kind_of_answer_says_where_the_client_stands(database: str) -> None:
    async with limited(anonymous="100/3600") as application, somebody(application) as client:
        etag = (await client.get("/api/v1/tags")).headers["etag"]
        answers = {
            304: await client.get("/api/v1/tags", headers={"If-None-Match": etag}),
            401: await client.post("/api/v1/tags", json={}),
            404: await client.get("/api/v1/nowhere"),
            405: await client.put("/api/v1/tags"),
            422: await client.get("/api/v1/tags?nonsense=1"),
            200: await client.head("/api/v1/tags"),
        }
        for status, answer in answers.items():
            assert answer.status_code == status
            assert answer.headers["ratelimit-policy"] == '"anonymous";q=100;w=3600'
        assert [left(answer) for answer in answers.values()] == [98, 97, 96, 95, 94, 93]
        # Health and OPTIONS are free.
        for free in (await client.get(LIVE), await client.options("/api/v1/tags"), await client.get("/openapi.json")):
            assert "ratelimit" not in free.headers
        assert left(await client.get("/api/v1/tags")) == 92
        # What is too large is refused before it is charged.
        assert (await client.get("/api/v1/tags", headers={"X-Long": "x" * 20_000})).status_code == 431
        assert left(await client.get("/api/v1/tags")) == 91


async def test_an_account_has_its_own_quota_on_every_worker(application: Application, database: str) -> None:
    token = await application.create_user("limited@example.org", Role.EDITOR)
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(limited(anonymous="50/3600", editor="7/3600")) for _ in range(2)]
        here, there = [await stack.enter_async_context(somebody(app, token=token)) for app in (first, second)]
        unknown = await here.get("/api/v1/tags")  # nobody has authenticated this token: its address is charged
        assert unknown.headers["ratelimit-policy"].startswith('"anonymous"')
        answers = [await client.get("/api/v1/tags") for _ in range(4) for client in (here, there)]
        assert [answer.status_code for answer in answers] == [200] * 7 + [429]
        assert [left(answer) for answer in answers[:7]] == [6, 5, 4, 3, 2, 1, 0]
        assert answers[0].headers["ratelimit-policy"] == '"editor";q=7;w=3600'
        first.fastapi.state.read_path.limiter.forget_identity(hash_token(token))
        assert (await here.get("/api/v1/tags")).headers["ratelimit-policy"].startswith('"anonymous"')


def test_the_edge_and_accounts_agree_on_the_hash_of_a_token() -> None:
    assert rate_limit._token_hash(b"Bearer fja_abc") == rate_limit._token_hash(b"bearer  fja_abc") == hash_token("fja_abc")  # noqa: SLF001
    assert rate_limit._token_hash(b"Basic abc") is None  # noqa: SLF001


async def test_search_has_a_second_policy_and_neither_is_charged_when_one_is_used_up(database: str) -> None:
    async with limited(anonymous="100/3600", search="2/3600") as application, somebody(application) as client:
        answers = [await client.get("/api/v1/search?q=x") for _ in range(3)]
        assert [answer.status_code == 429 for answer in answers] == [False, False, True]
        assert answers[0].headers["ratelimit-policy"] == '"anonymous";q=100;w=3600, "search";q=2;w=3600'
        assert answers[1].headers["ratelimit"].startswith('"anonymous";r=98;')
        assert '"search";r=0;' in answers[1].headers["ratelimit"]
        assert 1700 <= int(answers[2].headers["retry-after"]) <= 1800
        assert left(await client.get("/api/v1/tags")) == 97


async def test_login_has_a_policy_of_its_own(application: Application, database: str) -> None:
    async with limited(login="3/3600") as strict, somebody(strict) as client, somebody(strict) as other:
        wrong = {"username": "nobody@example.org", "password": "wrong"}
        answers = [await client.post("/api/v1/auth/login", data=wrong) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [400, 400, 400, 429]
        assert '"login";q=3;w=3600' in answers[0].headers["ratelimit-policy"]
        assert '"login";r=0;' in answers[3].headers["ratelimit"]
        assert 1100 <= int(answers[3].headers["retry-after"]) <= 1200
        assert (await client.get("/api/v1/tags")).status_code == 200
        assert (await other.post("/api/v1/auth/login", data=wrong)).status_code == 400


@pytest.mark.parametrize(("policy", "route"), [("register", "register"), ("password_reset", "forgot-password")])
async def test_what_sends_mail_has_a_policy_of_its_own(policy: str, route: str, database: str) -> None:
    quotas: Any = {policy: "2/3600"}
    async with limited(**quotas) as strict, somebody(strict) as client, somebody(strict) as other:
        document = {"email": "somebody.limited@example.org", "password": "correct horse battery staple"}
        document = document if route == "register" else {"email": document["email"]}
        answers = [await client.post(f"/api/v1/auth/{route}", json=document) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [202, 202, 429]
        assert f'"{policy}";q=2;w=3600' in answers[0].headers["ratelimit-policy"]
        assert_problem(answers[2], 429, "rate_limited")
        assert 1700 <= int(answers[2].headers["retry-after"]) <= 1800
        assert (await other.post(f"/api/v1/auth/{route}", json=document)).status_code == 202


async def test_a_forged_address_changes_nothing_and_a_proxy_is_believed(database: str) -> None:
    async with limited(anonymous="3/3600") as application, somebody(application) as client:
        answers = [await client.get("/api/v1/tags", headers={"X-Forwarded-For": f"198.51.100.{index}"}) for index in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    trusting = ServerSettings(trusted_proxies="192.0.2.0/24")
    async with limited(anonymous="1/3600", server=trusting) as application, somebody(application, "192.0.2.1") as proxy:
        clients = [next(_addresses) for _ in range(3)]
        answers = [await proxy.get("/api/v1/tags", headers={"X-Forwarded-For": f"6.6.6.6, {client}"}) for client in clients]
        assert [answer.status_code for answer in answers] == [200] * 3
        assert (await proxy.get("/api/v1/tags", headers={"X-Forwarded-For": clients[0]})).status_code == 429


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a unix socket", "unknown"),
    ],
)
def test_whom_an_address_stands_for(address: str, network: str) -> None:
    assert client_network(address) == network


async def test_a_concurrent_burst_over_two_workers_is_one_quota(database: str) -> None:
    async with limited(anonymous="100/86400") as first, limited(anonymous="100/86400") as second:
        address = next(_addresses)
        async with somebody(first, address) as here, somebody(second, address) as there:
            answers = await asyncio.gather(*(client.get("/api/v1/tags") for client in (here, there) * 100))
        assert sorted({answer.status_code for answer in answers}) == [200, 429]
        assert sum(answer.status_code == 200 for answer in answers) == 100


async def test_without_redis_each_worker_keeps_to_its_share(database: str) -> None:
    async with door() as closed:
        away = RedisSettings(host="127.0.0.1", port=closed.port)
        shared = ServerSettings(workers=2)
        async with limited(anonymous="10/3600", redis=away, server=shared) as application, somebody(application) as client:
            answers = [await client.get("/api/v1/tags") for _ in range(6)]
            assert [answer.status_code for answer in answers] == [200] * 5 + [429]
            assert left(answers[0]) == 4
            assert 700 <= int(answers[5].headers["retry-after"]) <= 720


async def test_losing_redis_gives_no_second_budget(database: str) -> None:
    async with limited(anonymous="6/3600") as application, somebody(application) as client:
        assert [(await client.get("/api/v1/tags")).status_code for _ in range(4)] == [200] * 4
        await application.fastapi.state.read_path.link.stop()
        assert [(await client.get("/api/v1/tags")).status_code for _ in range(3)] == [200, 200, 429]


def test_local_counts_are_bounded_and_refill(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(limiter_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    counts, policy = LocalCounts(1), Policy("anonymous", 2, 10)
    assert [counts.ask((policy,), "a").wait_s for _ in range(3)] == [0, 0, 5]
    clock.now = 5.0
    assert [counts.ask((policy,), "a").wait_s for _ in range(2)] == [0, 5]
    for index in range(MAX_CLIENTS + 10):
        counts.count(policy, f"client {index}")
    assert len(counts._full_at) <= MAX_CLIENTS  # noqa: SLF001


@pytest.mark.parametrize("text", ["", "120", "120/", "/60", "0/60", "1/0", "1000000001/60", "a/b", "-1/60", "1.5/60", "120/60/2"])
def test_a_quota_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="anonymous"):
        RateLimitSettings(anonymous=text)


def test_quotas_go_far() -> None:
    assert RateLimitSettings(anonymous="1000000000/60").quotas["anonymous"] == Quota(requests=1_000_000_000, seconds=60)


async def test_switched_off_there_are_no_limits_and_no_headers(database: str) -> None:
    settings = get_settings()
    app = create_fastapi_app(settings.model_copy(update={"rate_limit": RateLimitSettings(enabled=False, anonymous="1/3600")}))
    async with LifespanManager(wrap_in_edge(app, app.state.settings)) as manager, AsyncExitStack() as stack:
        client = await stack.enter_async_context(somebody(Application(app, httpx.ASGITransport(manager.app))))
        answers = [await client.get("/api/v1/tags") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert all("ratelimit" not in answer.headers for answer in answers)
    assert answers[2].headers["cache-status"] == "frankenjet; hit; detail=memory"


async def test_a_token_is_charged_to_its_account_from_its_first_authentication(application: Application) -> None:
    token = await application.create_user("charged@example.org", Role.EDITOR)
    async with somebody(application, token=token) as client:
        assert (await client.get("/api/v1/nothing")).status_code == 404
        assert body(await client.get("/api/v1/tags"))["page"] == 1
        assert (await client.get("/api/v1/tags")).headers["ratelimit-policy"].startswith('"editor"')
