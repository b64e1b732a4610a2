"""The gate: charges each API request to its client, and answers from the read cache in the same round trip to Redis."""

from __future__ import annotations

import base64
import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import hiredis

from fastapi_application.core import metrics
from fastapi_application.core.client import client_address
from fastapi_application.core.errors import RateLimitedError
from fastapi_application.core.problems import send_problem
from fastapi_application.middleware.read_cache import BYPASS, Question, ReadCache
from fastapi_application.redis_conf.limiter import ANONYMOUS, Limiter, Standing, Verdict, client_network
from fastapi_application.redis_conf.link import RedisAwayError, RedisReplyError, bulk
from fastapi_application.redis_conf.route_limit import STANDINGS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from fastapi_application.core.config import Network, Settings
    from fastapi_application.middleware.cache_entry import Header
    from fastapi_application.redis_conf.read_path import ReadPath

API = "/api/v1/"
_HEALTH = "/api/v1/health"
# Outside the prefix, but made from the encyclopedia.
_OUTSIDE = ("/feeds/", "/sitemap.xml", "/sitemaps/", "/robots.txt")
# Groups of GET routes with a policy of their own, besides that of the client.
GROUPS = {"/api/v1/search": "search"}
_READS = ("GET", "HEAD")
_MAX_CLIENTS = 20_000
STANDING = f'"{ANONYMOUS}";r=%d;t=%d'.encode()
"""What is left to an anonymous client, and the seconds until its quota is full."""
ARRIVED = "frankenjet.arrived"
"""In the scope: the question that was asked for this request already, and the reply."""


def is_limited(path: str) -> bool:
    """Whether requests for a path are charged: all of the API but health, whatever a proxy makes of its status."""
    if path.startswith(API):
        return not path.startswith(_HEALTH)
    return path.startswith(_OUTSIDE)


class RateLimitMiddleware:
    """Lets a request through, to the read cache or past it, or answers 429."""

    def __init__(self, app: ASGIApp, read_path: ReadPath, settings: Settings) -> None:
        """Wrap the application."""
        self.app = app
        self.cache = ReadCache(app, read_path, settings.cache)
        self.limiter: Limiter = read_path.limiter
        self.trusted_proxies: Sequence[Network] = settings.server.trusted_proxies
        self.policy = self.limiter.policies[ANONYMOUS]
        self.policy_words = b"".join(map(bulk, self.policy.words))
        self._no_limit = (bulk(""), bulk("") * 2)
        self.policy_header = Verdict(0, (Standing(self.policy, 0, 0),)).headers()[0]
        self._clients: OrderedDict[str, tuple[bytes, str]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] == "OPTIONS" or not is_limited(scope["path"]):
            await self.app(scope, receive, send)
            return
        token = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                token = value
        reads = scope["method"] in _READS
        question = self.cache.question(scope) if reads and token is None and self.cache.enabled else None
        group = GROUPS.get(scope["path"]) if reads else None
        if token is None and group is None and self.limiter.enabled:
            await self._serve_anonymous(scope, receive, send, question)
        else:
            await self._serve_others(scope, receive, send, question, token, group)

    async def _serve_anonymous(self, scope: Scope, receive: Receive, send: Send, question: Question | None) -> None:
        """Charge the address and look up the answer at once: this is the path of almost every request."""
        limit_word, client = self.client(client_address(scope, self.trusted_proxies))
        try:
            question, reply = scope.pop(ARRIVED, None) or (question, await self.cache.ask(question, limit_word, self.policy_words))
            if isinstance(reply, hiredis.ReplyError):
                reply = await self.cache.ask_again(reply, question, limit_word, self.policy_words)
        except (RedisAwayError, RedisReplyError) as error:
            self._note(error)
            verdict = self.limiter.local.ask((self.policy,), client)
            metrics.limiter_decided(ANONYMOUS, allowed=not verdict.wait_s, alone=True)
            await self._without_redis(scope, receive, send, question, verdict)
            return
        left, full_s, wait_s, *_ = reply
        metrics.limiter_decided(ANONYMOUS, allowed=not wait_s)
        if wait_s:
            await self._refuse(scope, send, Verdict(wait_s, (Standing(self.policy, left, full_s),)))
            return
        self.limiter.local.count(self.policy, client)
        if question is None:
            more = [BYPASS] if scope["method"] in _READS else []
            await self._pass_on(scope, receive, send, Verdict(0, (Standing(self.policy, left, full_s),)), *more)
        else:
            headers = [self.policy_header, (b"ratelimit", STANDING % (left, full_s))]
            await self.cache.answer(scope, receive, send, question, reply, headers)

    async def _serve_others(
        self, scope: Scope, receive: Receive, send: Send, question: Question | None, token: bytes | None, group: str | None
    ) -> None:
        """Charge an account, or a client under several policies; the look-up travels with it."""
        asked = self._ask_only(question)
        address = client_address(scope, self.trusted_proxies)
        names = (ANONYMOUS, group) if group else (ANONYMOUS,)
        verdict = await self.limiter.admit(names, address, _token_hash(token) if token else None)
        if verdict.wait_s:
            await self._refuse(scope, send, verdict)
            return
        if question is None:
            await self._pass_on(scope, receive, send, verdict, *([BYPASS] if scope["method"] in _READS else []))
            return
        try:
            reply = await asked if asked is not None else None
            if isinstance(reply, hiredis.ReplyError):
                reply = await self.cache.ask_again(reply, question, *self._no_limit)
        except (RedisAwayError, RedisReplyError) as error:
            self._note(error)
            reply = None
        if reply is None:
            await self.cache.without_redis(scope, receive, send, question, verdict.headers())
        else:
            await self.cache.answer(scope, receive, send, question, reply, verdict.headers())

    def _note(self, error: RedisAwayError | RedisReplyError) -> None:
        if isinstance(error, RedisReplyError):
            self.cache.link.complain(error)

    def _ask_only(self, question: Question | None) -> asyncio.Future[Any] | None:
        if question is None:
            return None
        try:
            return self.cache.ask(question, *self._no_limit)
        except RedisAwayError:
            return None

    async def _without_redis(self, scope: Scope, receive: Receive, send: Send, question: Question | None, verdict: Verdict) -> None:
        if verdict.wait_s:
            await self._refuse(scope, send, verdict)
        elif question is None:
            await self._pass_on(scope, receive, send, verdict)
        else:
            await self.cache.without_redis(scope, receive, send, question, verdict.headers())

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, verdict: Verdict, *more: Header) -> None:
        """Serve what is not cached; a limit of the route itself adds where the client stands under it."""
        of_the_route: list[Standing] = []

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                standings = Verdict(0, (*verdict.standings, *of_the_route)).headers()
                message = {**message, "headers": [*message["headers"], *standings, *more]}
            await send(message)

        await self.app({**scope, STANDINGS: of_the_route}, receive, send_with_headers)

    async def _refuse(self, scope: Scope, send: Send, verdict: Verdict) -> None:
        headers = {name.decode(): value.decode() for name, value in verdict.headers()}
        await send_problem(send, RateLimitedError(verdict.wait_s, headers), scope["path"])

    def client(self, address: str) -> tuple[bytes, str]:
        """Return the encoded key of an address' limit, and whom it stands for."""
        known = self._clients.get(address)
        if known is None:
            network = client_network(address)
            known = (bulk(f"{self.limiter.prefix}{ANONYMOUS}:{network}"), network)
            if len(self._clients) >= _MAX_CLIENTS:
                self._clients.popitem(last=False)
            self._clients[address] = known
        return known


def _token_hash(authorization: bytes) -> str | None:
    """Return the hash of a bearer token, as accounts keep it; None for another scheme."""
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer":
        return None
    return base64.urlsafe_b64encode(hashlib.sha256(token.strip()).digest()).decode().rstrip("=")
