"""The shortest way: what this process holds for the public is asked for and answered by the protocol itself.

A hit needs no task, no coroutine and none of the layers, only what they would have done: their headers, their line in the log,
their limits and their counts. Whatever is not a plain hit takes the usual way through all of them, and what Redis has said
travels along, so that nobody is charged twice. See ADR 0012.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from fastapi_application.core import metrics
from fastapi_application.core.client import client_address
from fastapi_application.middleware.access_log import log_response
from fastapi_application.middleware.admission import MAX_HEADER_BYTES
from fastapi_application.middleware.cache_entry import MOVED, OK
from fastapi_application.middleware.correlation_id import HEADER as REQUEST_ID
from fastapi_application.middleware.correlation_id import is_harmless, new_request_id
from fastapi_application.middleware.http_protocol import header_line
from fastapi_application.middleware.rate_limit import ARRIVED, GROUPS, STANDING
from fastapi_application.middleware.read_cache import HIT_MEMORY, Question
from fastapi_application.redis_conf.limiter import ANONYMOUS
from fastapi_application.redis_conf.link import RedisAwayError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from fastapi_application.middleware.admission import AdmissionMiddleware
    from fastapi_application.middleware.cache_entry import Entry, Form
    from fastapi_application.middleware.rate_limit import RateLimitMiddleware
    from fastapi_application.middleware.route_names import RouteNames
    from fastapi_application.middleware.security_headers import SecurityHeadersMiddleware

_ACCEPT, _ENCODING, _CONDITION, _HOST = b"accept", b"accept-encoding", b"if-none-match", b"host"
# With one of these a request is no plain one; `origin` only where CORS is answered.
_NOT_PLAIN: Final = frozenset({b"authorization", b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"origin"})
_LOOKED_AT: Final = _NOT_PLAIN | {_ACCEPT, _ENCODING, _CONDITION, _HOST, REQUEST_ID}
_TAKEN: Final = (OK, MOVED)
_logger = structlog.get_logger(__name__)


class Exchange(Protocol):
    """A request as a server's protocol sees it, and the way to answer it at once."""

    scope: Any
    keep_alive: bool
    response_complete: bool

    def write_whole(self, status: int, lines: bytes, body: bytes) -> bool:
        """Write status line, encoded headers and body; False, and nothing written, if the client does not take it now."""
        ...


class HitLane:
    """An application in front of which a protocol may ask for hits."""

    def __init__(
        self,
        app: ASGIApp,
        limits: RateLimitMiddleware,
        admission: AdmissionMiddleware,
        security: SecurityHeadersMiddleware,
        names: RouteNames | None,
        *,
        has_cors: bool,
    ) -> None:
        """Wrap everything; the layers named are those whose work is done here for a hit, and `has_cors` stands for theirs."""
        self.app = app
        self.limits = limits
        self.security = security
        self.names = names
        self.has_cors = has_cors
        self.is_open = limits.cache.enabled and limits.limiter.enabled
        self._store = limits.cache.store
        self._is_allowed_host = lru_cache(maxsize=256)(admission.is_allowed_host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request the usual way."""
        await self.app(scope, receive, send)

    def take(self, exchange: Exchange, pass_on: Callable[[], None]) -> bool:
        """Ask for a hit; False if the request must go the usual way. Later it is answered, or passed on."""
        scope = exchange.scope
        if not self.is_open or not exchange.keep_alive or scope["method"] not in ("GET", "HEAD"):
            return False
        hit = _Hit(self, exchange, pass_on)
        if not hit.read(scope["headers"]) or not self._is_allowed_host(hit.host or b""):
            return False
        path = scope["path"]
        entry = self._store.get((path, scope["query_string"]))
        if entry is None or entry.answer.status not in _TAKEN or path in GROUPS:
            return False
        limits = self.limits
        hit.entry, hit.address = entry, client_address(scope, limits.trusted_proxies)
        limit_word, hit.client = limits.client(hit.address)
        try:
            limits.cache.link.send_for(hit, limits.cache.command_for(entry, limit_word, limits.policy_words))
        except RedisAwayError:
            return False
        return True

    def answer(self, hit: _Hit, reply: Any) -> bool:
        """Answer, if the reply says that the entry is current and the client has not asked too often."""
        if type(reply) is not list:
            return False  # an error, which the usual way meets again
        entry, exchange = hit.entry, hit.exchange
        scope = exchange.scope
        # What Redis has charged for, it is not asked for again.
        scope[ARRIVED] = (Question((scope["path"], scope["query_string"]), entry, entry.level_key), reply)
        if reply[2] or not reply[3]:
            return False
        form = entry.answer.form_for(hit.encoding, hit.condition)
        standing = STANDING % (reply[0], reply[1])
        more = b"%bx-request-id: %b\r\nratelimit: %b\r\n\r\n" % (form.lines or self._encode(form), hit.request_id, standing)
        body = form.body if scope["method"] == "GET" else b""
        if not exchange.write_whole(form.status, more, body):
            return False
        if len(reply) > 4:  # noqa: PLR2004 - the clock has moved
            entry.found_current(reply[4])
        self.limits.limiter.local.count(self.limits.policy, hit.client)
        self._note(hit, form.status, len(body))
        return True

    def _encode(self, form: Form) -> bytes:
        headers = self.security.complete([*form.headers, HIT_MEMORY, self.limits.policy_header])
        if self.has_cors:
            headers = [(name, value + b", Origin" if name == b"vary" else value) for name, value in headers]
        form.lines = b"".join(filter(None, (header_line(name, value) for name, value in headers)))
        return form.lines

    def _note(self, hit: _Hit, status: int, sent: int) -> None:
        seconds = time.perf_counter() - hit.began
        scope = hit.exchange.scope
        method, path = scope["method"], scope["path"]
        line = {"method": method, "path": path, "client": hit.address}
        log_response(line, status, sent, seconds, hit.request_id.decode())
        if metrics.instruments() is not None:
            metrics.limiter_decided(ANONYMOUS, allowed=True)
            metrics.cache_answer("memory")
            if self.names is not None:
                metrics.request(method, self.names.of(path), status, seconds)


class _Hit:
    """A request that waits for what Redis says; to the link it is a future."""

    __slots__ = ("address", "began", "client", "condition", "encoding", "entry", "exchange", "host", "lane", "pass_on", "request_id")

    entry: Entry
    address: str
    client: str

    def __init__(self, lane: HitLane, exchange: Exchange, pass_on: Callable[[], None]) -> None:
        self.began = time.perf_counter()
        self.lane, self.exchange, self.pass_on = lane, exchange, pass_on
        self.encoding: bytes | None = None
        self.condition: bytes | None = None
        self.host: bytes | None = None
        self.request_id = b""

    def read(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Read what a hit depends on; False if this is no plain request."""
        size = 0
        for name, value in headers:
            size += len(name) + len(value)
            if name not in _LOOKED_AT:
                continue
            if name in _NOT_PLAIN or (name == _ACCEPT and b"+" in value):
                return False
            if name == _ENCODING:
                self.encoding = value
            elif name == _CONDITION:
                self.condition = value if self.condition is None else self.condition + b"," + value
            elif name == _HOST:
                self.host = value if self.host is None else self.host
            elif name == REQUEST_ID and not self.request_id and is_harmless(value):
                self.request_id = value
        self.request_id = self.request_id or new_request_id()
        return size <= MAX_HEADER_BYTES

    def done(self) -> bool:
        """Nobody gives up waiting: the link's time-out is short."""
        return False

    def set_result(self, reply: Any) -> None:
        """Answer, or pass on."""
        try:
            is_answered = self.lane.answer(self, reply)
        except Exception:
            _logger.exception("hit_lane_failed", path=self.exchange.scope["path"])
            is_answered = self.exchange.response_complete
        if not is_answered:
            self.pass_on()

    def set_exception(self, _error: BaseException) -> None:
        """Redis has gone: the usual way goes on without it."""
        self.pass_on()

    def exception(self) -> None:
        """Nothing to be read."""
