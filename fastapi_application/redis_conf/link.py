"""The link to Redis: one connection on which the commands of concurrent requests travel together.

Nobody waits for a Redis that is away: the first command that gets no answer in time cuts the link, and until one
background task has mended it every command fails at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
import time
from collections import deque
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import hiredis
import structlog
from redis.asyncio.connection import SSLConnection, parse_url

from fastapi_application.core import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi_application.core.config import RedisSettings

CONNECT_TIMEOUT_S = 0.5
COMMAND_TIMEOUT_S = 0.2
RETRY_S = 0.25
COMPLAINT_S = 60
# A process that was itself held up must read what has come meanwhile before it blames Redis.
GRACE_S = 0.02
_SCRIPTS = Path(__file__).with_name("scripts")
_logger = structlog.get_logger(__name__)

type Word = bytes | str | int


class RedisAwayError(Exception):
    """Redis does not answer, or has not been reached yet."""


class RedisReplyError(Exception):
    """Redis answered with an error."""


def _checked(reply: Any) -> Any:
    if isinstance(reply, hiredis.ReplyError):
        raise RedisReplyError(str(reply))
    return reply


class Script:
    """A Lua script with the functions that it stands on."""

    def __init__(self, *names: str) -> None:
        """Join the files of these names; the last one is the script itself."""
        self.source = "\n".join((_SCRIPTS / f"{name}.lua").read_text() for name in names).encode()
        self.sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest().encode()
        self.head = bulk(b"EVALSHA") + bulk(self.sha)
        self.full_head = bulk(b"EVAL") + bulk(self.source)


def bulk(word: Word) -> bytes:
    """Encode one word of a command."""
    raw = word if isinstance(word, bytes) else str(word).encode()
    return b"$%d\r\n%b\r\n" % (len(raw), raw)


def pack(*words: Word) -> bytes:
    """Encode a command."""
    return b"%b%b" % (_array_head(len(words)), b"".join(map(bulk, words)))


@cache
def _array_head(length: int) -> bytes:
    return b"*%d\r\n" % length


class Waiting(Protocol):
    """Who waits for a reply: a future, or what is quicker than one. Its methods must not raise."""

    def done(self) -> bool:
        """Whether it waits no more."""
        ...

    def set_result(self, result: Any, /) -> None:
        """Take the reply."""
        ...

    def set_exception(self, exception: BaseException, /) -> None:
        """Hear that there will be none."""
        ...

    def exception(self) -> object:
        """Say that this was heard."""
        ...


class _Connection(asyncio.Protocol):
    """Sends what one turn of the loop has asked in one piece, and hands out the replies in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lost: Callable[[_Connection], None]) -> None:
        self._loop = loop
        self._lost = lost
        self._reader = hiredis.Reader()
        self._out: list[bytes] = []
        self._waiting: deque[tuple[float, Waiting]] = deque()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a stream

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.close()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                sent_at, future = self._waiting.popleft()
                if not future.done():
                    future.set_result(reply)
                    metrics.redis_answered(self._loop.time() - sent_at)
        except (hiredis.ProtocolError, IndexError):
            self.close()

    def send(self, command: bytes) -> asyncio.Future[Any]:
        """Queue an encoded command; the future gets the raw reply."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self.send_for(future, command)
        return future

    def send_for(self, waiting: Waiting, command: bytes) -> None:
        """Queue an encoded command for somebody who waits without a future's detour through the loop."""
        if self._transport is None:
            raise RedisAwayError
        self._waiting.append((self._loop.time(), waiting))
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(command)
        if self._timer is None:
            self._timer = self._loop.call_later(COMMAND_TIMEOUT_S, self._check)

    def _flush(self) -> None:
        if self._transport is not None and self._out:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _check(self, *, graced: bool = False) -> None:
        """Cut the connection if the oldest command has waited too long."""
        self._timer = None
        if not self._waiting:
            return
        age = self._loop.time() - self._waiting[0][0]
        if age < COMMAND_TIMEOUT_S:
            self._timer = self._loop.call_later(COMMAND_TIMEOUT_S - age, self._check)
        elif not graced:
            self._timer = self._loop.call_later(GRACE_S, lambda: self._check(graced=True))
        else:
            self.close()

    def close(self) -> None:
        """Cut the connection; whoever waits hears it at once."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                metrics.redis_failed()
                future.set_exception(RedisAwayError())
                future.exception()  # read, also where nobody waits for it
        self._lost(self)


class RedisLink:
    """The link of one process, made before there is a loop; `start` and `stop` belong to the lifespan."""

    def __init__(self, settings: RedisSettings) -> None:
        """Remember where Redis is; nothing connects yet."""
        password = settings.password.get_secret_value()
        url = settings.url.get_secret_value() if settings.url else f"redis://{settings.host or 'localhost'}:{settings.port}/{settings.db}"
        self._address: dict[str, Any] = {**({"password": password} if password else {}), **parse_url(url)}
        self._connection: _Connection | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._broken, self._up = asyncio.Event(), asyncio.Event()
        self._mended: list[Callable[[RedisLink], Awaitable[None]]] = []
        self._trusted = False
        self._away_since: float | None = None
        self._complained_at = float("-inf")

    def when_mended(self, prepare: Callable[[RedisLink], Awaitable[None]]) -> None:
        """Await this on every new connection, with `raw` commands, before anybody else may use it."""
        self._mended.append(prepare)

    @property
    def is_up(self) -> bool:
        """Whether commands are worth sending."""
        return self._trusted

    def send(self, command: bytes) -> asyncio.Future[Any]:
        """Queue an encoded command; the future gets the raw reply, in which an error is a value.

        Raises:
            RedisAwayError: at once where Redis is known to be away; else the future has it.

        """
        if not self._trusted or self._connection is None:
            raise RedisAwayError
        return self._connection.send(command)

    def send_for(self, waiting: Waiting, command: bytes) -> None:
        """Queue an encoded command for somebody who is told at once; raises as `send` does."""
        if not self._trusted or self._connection is None:
            raise RedisAwayError
        self._connection.send_for(waiting, command)

    async def command(self, *words: Word) -> Any:
        """Send a command and return its reply.

        Raises:
            RedisAwayError: no answer in time.
            RedisReplyError: the answer is an error.

        """
        return _checked(await self.send(pack(*words)))

    async def run(self, script: Script, keys: tuple[Word, ...], arguments: tuple[Word, ...] = ()) -> Any:
        """Run a script and return its reply; raises as `command` does."""
        tail = b"".join(map(bulk, (len(keys), *keys, *arguments)))
        return await self.run_encoded(script, 1 + len(keys) + len(arguments), tail)

    async def run_encoded(self, script: Script, length: int, tail: bytes) -> Any:
        """Run a script whose number of keys, keys and arguments (`length` words) are encoded already."""
        start = _array_head(2 + length)
        reply = await self.send(start + script.head + tail)
        if isinstance(reply, hiredis.ReplyError):
            if str(reply).startswith("NOSCRIPT"):  # Redis was restarted, or its scripts were flushed
                reply = await self.send(start + script.full_head + tail)
            return _checked(reply)
        return reply

    def post(self, script: Script, keys: tuple[Word, ...], arguments: tuple[Word, ...]) -> None:
        """Run a script for which nobody waits; without Redis it does not run."""
        tail = b"".join(map(bulk, (len(keys), *keys, *arguments)))
        start = _array_head(3 + len(keys) + len(arguments))

        def again(reply: asyncio.Future[Any]) -> None:
            if not reply.cancelled() and reply.exception() is None and str(reply.result()).startswith("NOSCRIPT") and self.is_up:
                self.send(start + script.full_head + tail)

        if self.is_up:
            self.send(start + script.head + tail).add_done_callback(again)

    def complain(self, error: RedisReplyError) -> None:
        """Log that Redis answers with errors (full, read only, …), once a minute: requests go on without it."""
        metrics.redis_failed()
        if time.monotonic() - self._complained_at > COMPLAINT_S:
            self._complained_at = time.monotonic()
            _logger.error("redis_refuses", error=str(error))

    # --- connecting -------------------------------------------------------------------------------------------------

    async def start(self, patience_s: float) -> None:
        """Connect, and keep doing so; return when that succeeded or patience has ended."""
        self._keeper = asyncio.create_task(self._keep())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._up.wait(), patience_s)

    async def stop(self) -> None:
        """Close for good."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._connection is not None:
            self._connection.close()

    async def _keep(self) -> None:
        while True:
            self._broken.clear()
            try:
                await self._mend()
            except (RedisAwayError, RedisReplyError, OSError, ssl.SSLError) as error:
                self._note_away(error)
                await asyncio.sleep(RETRY_S)
                continue
            self._note_back()
            await self._broken.wait()
            self._note_away(None)

    async def _mend(self) -> None:
        """Connect, and make sure that what Redis says can be trusted."""
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            self._connection = connection = await self._connect()
        try:
            for prepare in self._mended:
                await prepare(_Raw(connection))
        except BaseException:
            connection.close()
            raise
        if self._connection is connection:
            self._trusted = True
            self._up.set()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        where = self._address

        def protocol() -> _Connection:
            return _Connection(loop, self._forget)

        if "path" in where:
            _, connection = await loop.create_unix_connection(protocol, where["path"])
        else:
            secure = ssl.create_default_context() if where.get("connection_class") is SSLConnection else None
            _, connection = await loop.create_connection(protocol, where["host"], where.get("port", 6379), ssl=secure)
        try:
            for words in self._greeting():
                _checked(await connection.send(pack(*words)))
        except BaseException:
            connection.close()
            raise
        return connection

    def _greeting(self) -> list[tuple[Word, ...]]:
        where = self._address
        words: list[tuple[Word, ...]] = []
        if where.get("password"):
            words.append(("AUTH", *([where["username"]] if where.get("username") else []), where["password"]))
        if where.get("db"):
            words.append(("SELECT", where["db"]))
        return [*words, ("CLIENT", "SETNAME", "frankenjet")]

    def _forget(self, connection: _Connection) -> None:
        if connection is self._connection:
            self._connection = None
            self._trusted = False
            self._up.clear()
            self._broken.set()

    def _note_away(self, error: Exception | None) -> None:
        """One line for each change, however many requests meet it."""
        if self._away_since is None:
            self._away_since = time.monotonic()
            _logger.warning("redis_away", error=f"{type(error).__name__} {error}".strip() if error else "no answer")

    def _note_back(self) -> None:
        if self._away_since is not None:
            _logger.info("redis_back", after_s=round(time.monotonic() - self._away_since, 1))
            self._away_since = None


class _Raw(RedisLink):
    """A connection that is being prepared, for those who prepare it."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._trusted = True
