"""The read cache: public answers in their final bytes, served only while no write has touched what they show.

One look-up asks Redis, in the same round trip that charges the client, whether the entry in this process's memory is
current (`arrive.lua`); without one, whether the Redis level has it. A miss takes the clock before it queries. See ADR 0012.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hiredis
import orjson

from fastapi_application.core import metrics
from fastapi_application.core.cache_note import SCOPE_KEY, CacheNote
from fastapi_application.core.errors import DatabaseUnavailableError, NotFoundError, SchemaOutOfDateError, ServiceUnavailableError
from fastapi_application.core.media_types import JSON, JSON_LD, prefers
from fastapi_application.core.problems import problem_body
from fastapi_application.middleware.cache_entry import MOVED, NOT_FOUND, OK, Answer, Entry, Header, LocalStore, unpack
from fastapi_application.redis_conf.generations import Moment
from fastapi_application.redis_conf.link import RedisReplyError, Script, bulk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from fastapi_application.core.config import CacheSettings
    from fastapi_application.redis_conf.read_path import ReadPath

type Key = tuple[str, bytes]

ARRIVE = Script("gcra", "generations", "arrive")
UNAVAILABLE = 503
_ARGUMENTS = 7
_NO_ENTRY = b"".join(map(bulk, ("", "", "")))
_STATUS = b"cache-status"
HIT_MEMORY, HIT_REDIS = (_STATUS, b"frankenjet; hit; detail=memory"), (_STATUS, b"frankenjet; hit; detail=redis")
BYPASS = (_STATUS, b"frankenjet; fwd=bypass")
# What a handler would answer 304 or a part to: it is asked for the whole.
_CONDITIONS = {b"if-none-match", b"if-modified-since", b"if-range", b"range"}
_UNAVAILABLE_ERRORS = {error.code: error for error in (DatabaseUnavailableError, SchemaOutOfDateError, ServiceUnavailableError)}


@dataclass(slots=True)
class Question:
    """What a look-up asks: by key, with the entry that is held, if any."""

    key: Key
    entry: Entry | None
    level_key: bytes


@dataclass(slots=True)
class _Flight:
    """A query that is under way, and the clock that it took before it began."""

    moment: Moment | None
    landed: asyncio.Future[Answer | None]


class ReadCache:
    """The read cache of one process, in front of an application."""

    def __init__(self, app: ASGIApp, read_path: ReadPath, settings: CacheSettings) -> None:
        """Wrap the application."""
        self.app = app
        self.enabled = settings.enabled
        self.store = LocalStore(settings.local_max_mb * 1024 * 1024)
        self._settings = settings
        self.link = read_path.link
        self._path = read_path
        self._flights: dict[Key, _Flight] = {}
        self._next_flights: dict[Key, asyncio.Future[Answer | None]] = {}
        generations = read_path.generations
        self._clock_words = bulk(generations.clock_key) + bulk(generations.epoch_key)
        self._life_word = bulk(generations.tag_life)
        shared = settings.shared_max_age_s
        self._cache_control = f"public, max-age=0, s-maxage={shared}, must-revalidate".encode() if shared else b"public, no-cache"

    def may_have(self, scope: Scope) -> bool:
        """Whether memory holds an answer to a request of the public; that it is current, only Redis can say."""
        public = self.enabled and not any(name == b"authorization" for name, _ in scope["headers"])
        return public and self.store.get(_key_of(scope)) is not None

    # --- asking -----------------------------------------------------------------------------------------------------

    def question(self, scope: Scope) -> Question:
        """Return what to ask for a request.

        The key is the address as it came (another order of parameters is another key), with the form that is preferred.
        """
        key = _key_of(scope)
        entry = self.store.get(key)
        if entry is not None:
            return Question(key, entry, entry.level_key)
        digest = hashlib.blake2b(key[0].encode("utf-8", "surrogateescape") + b"\0" + key[1], digest_size=20).hexdigest()
        return Question(key, None, self._path.entry_prefix + digest.encode())

    def ask(self, question: Question | None, limit_word: bytes, policy_words: bytes) -> asyncio.Future[Any]:
        """Send `arrive.lua` for a client's limit and a question; the reply is its list, or an error as a value.

        Raises:
            RedisAwayError: Redis is known to be away; else the future has it.

        """
        entry, level_key = (question.entry, question.level_key) if question else (None, b"")
        before, after = self._around_limit(entry, level_key, policy_words)
        return self.link.send(before + limit_word + after)

    def command_for(self, entry: Entry, limit_word: bytes, policy_words: bytes) -> bytes:
        """Encode the question after an entry that is held; always under the same policy."""
        if entry.command is None:
            entry.command = self._around_limit(entry, entry.level_key, policy_words)
        return entry.command[0] + limit_word + entry.command[1]

    def _around_limit(self, entry: Entry | None, level_key: bytes, policy_words: bytes) -> tuple[bytes, bytes]:
        key_count, key_words = (entry.key_count, entry.key_words) if entry else (3, b"")
        state_words = entry.state_words if entry else _NO_ENTRY + bulk(level_key)
        before = b"*%d\r\n%b%b" % (3 + key_count + _ARGUMENTS, ARRIVE.head, bulk(key_count))
        return before, b"".join((self._clock_words, key_words, policy_words, state_words, self._life_word))

    async def ask_again(self, error: hiredis.ReplyError, question: Question | None, limit_word: bytes, policy_words: bytes) -> list[Any]:
        """Send the question once more, after the script itself, if the error is that Redis has lost it.

        Raises:
            RedisReplyError: Redis refuses.

        """
        if not str(error).startswith("NOSCRIPT"):
            raise RedisReplyError(str(error))
        await self.link.command("SCRIPT", "LOAD", ARRIVE.source)
        reply = await self.ask(question, limit_word, policy_words)
        if isinstance(reply, hiredis.ReplyError):
            raise RedisReplyError(str(reply))
        return reply  # type: ignore[no-any-return] # the list of arrive.lua

    # --- answering --------------------------------------------------------------------------------------------------

    async def answer(self, scope: Scope, receive: Receive, send: Send, question: Question, reply: list[Any], more: list[Header]) -> None:
        """Answer from what `arrive.lua` said of the question, else from the application."""
        entry = question.entry
        if reply[3]:
            if len(reply) > 4 and entry is not None:  # noqa: PLR2004 - the clock has moved
                entry.found_current(reply[4])
            if entry is not None:
                metrics.cache_answer("memory")
                await self._send(scope, send, entry.answer, [HIT_MEMORY, *more])
                return
        moment = Moment(reply[5], int(reply[4]))
        found = unpack(reply[6], question.level_key) if len(reply) > 6 else None  # noqa: PLR2004 - an entry of the Redis level
        if found is not None:
            found.found_current(reply[4])
            self.store.put(question.key, found)
            metrics.cache_answer("redis")
            await self._send(scope, send, found.answer, [HIT_REDIS, *more])
            return
        await self._miss(scope, receive, send, question, moment, more)

    async def _miss(self, scope: Scope, receive: Receive, send: Send, question: Question, moment: Moment, more: list[Header]) -> None:
        reason = b"stale" if question.entry is not None else b"uri-miss"
        flight = self._flights.get(question.key)
        if flight is not None and flight.moment is not None and flight.moment.epoch == moment.epoch and flight.moment.clock >= moment.clock:
            shared = await asyncio.shield(flight.landed)
            if shared is not None:
                metrics.cache_answer("collapsed")
                await self._send(scope, send, shared, [(_STATUS, b"frankenjet; fwd=%b; collapsed" % reason), *more])
                return
        metrics.cache_answer("stale" if question.entry is not None else "miss")
        answer, entry = await self._fly(scope, receive, question, moment)
        stored = b"; stored" if entry is not None else b""
        await self._send(scope, send, answer, [(_STATUS, b"frankenjet; fwd=%b%b" % (reason, stored)), *more])
        if entry is not None:
            self._share(entry)

    def _share(self, entry: Entry) -> None:
        """Give an entry to the other workers; a 404 or 308 is cheap to find out, and there is no end of them."""
        life = min(self._settings.ttl_s, int(entry.until - time.time()))
        if entry.answer.status == OK and life > 0:
            self._path.level.put(entry.level_key, entry.packed(), entry.tag_keys, life)
        else:
            self._path.generations.keep(entry.tag_keys)

    async def without_redis(self, scope: Scope, receive: Receive, send: Send, question: Question, more: list[Header]) -> None:
        """Answer from the application: nobody knows what is current. At most one query of a key at a time.

        Who comes while one is under way shares the next one: it begins after all of them have come.
        """
        metrics.cache_answer("bypass")
        if question.key in self._flights:
            waiting = self._next_flights.get(question.key)
            if waiting is not None:
                shared = await asyncio.shield(waiting)
                if shared is not None:
                    await self._send(scope, send, shared, [BYPASS, *more])
                    return
            else:
                await self._wait_for_turn(question.key)
        answer, _ = await self._fly(scope, receive, question, None)
        await self._send(scope, send, answer, [BYPASS, *more])

    async def _wait_for_turn(self, key: Key) -> None:
        """Lead the next flight: those who come until it begins wait for it."""
        own = self._next_flights[key] = asyncio.get_running_loop().create_future()
        try:
            while (flight := self._flights.get(key)) is not None:
                await asyncio.wait([flight.landed])
        except BaseException:
            own.set_result(None)
            raise
        finally:
            del self._next_flights[key]
        self._flights[key] = _Flight(None, own)

    async def _fly(self, scope: Scope, receive: Receive, question: Question, moment: Moment | None) -> tuple[Answer, Entry | None]:
        """Ask the application; who joined meanwhile gets what can be shared."""
        waiting = self._flights.get(question.key)
        is_next = waiting is not None and waiting.moment is None and moment is None and not waiting.landed.done()
        flight = waiting if is_next and waiting is not None else _Flight(moment, asyncio.get_running_loop().create_future())
        self._flights[question.key] = flight
        shared: Answer | None = None
        try:
            answer, note = await self._capture(scope, receive)
            is_kept = _is_kept(answer, note)
            shared = answer if is_kept or answer.status == UNAVAILABLE else None
            entry = self._keep(question, answer, note, moment) if is_kept and moment is not None else None
        finally:
            if self._flights.get(question.key) is flight:
                del self._flights[question.key]
            if not flight.landed.done():
                flight.landed.set_result(shared)
        return answer, entry

    def _keep(self, question: Question, answer: Answer, note: CacheNote, moment: Moment) -> Entry:
        until = time.time() + self._settings.ttl_s
        if note.until is not None:
            until = min(until, note.until)
        tag_keys = self._path.generations.tag_keys(note.tags or ())
        entry = Entry(answer, moment, tag_keys, question.level_key, until)
        self.store.put(question.key, entry)
        return entry

    async def _capture(self, scope: Scope, receive: Receive) -> tuple[Answer, CacheNote]:
        """Run the application for the whole answer, and keep it back."""
        note = CacheNote()
        start: Message = {}
        body: list[bytes] = []

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                body.append(message.get("body", b""))

        headers = [header for header in scope["headers"] if header[0] not in _CONDITIONS]
        await self.app({**scope, "method": "GET", "headers": headers, SCOPE_KEY: note}, receive, send)
        return Answer(start["status"], self._public(start["headers"], note), b"".join(body)), note

    def _public(self, headers: Sequence[Header], note: CacheNote) -> list[Header]:
        """Apply the setting that lets shared caches serve without asking."""
        lower = [(name.lower(), value) for name, value in headers]
        if note.tags is None or not self._settings.shared_max_age_s:
            return lower
        return [(name, self._cache_control if (name, value) == (b"cache-control", b"public, no-cache") else value) for name, value in lower]

    async def _send(self, scope: Scope, send: Send, answer: Answer, more: list[Header]) -> None:
        """Send an answer in the form that this client wants."""
        if answer.status in (NOT_FOUND, UNAVAILABLE):
            answer = _own_problem(answer, scope["path"])
        accept_encoding = if_none_match = None
        for name, value in scope["headers"]:
            if name == b"accept-encoding":
                accept_encoding = value
            elif name == b"if-none-match":
                if_none_match = value if if_none_match is None else if_none_match + b"," + value
        form = answer.form_for(accept_encoding, if_none_match)
        await send({"type": "http.response.start", "status": form.status, "headers": form.headers + more})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else form.body})


def _key_of(scope: Scope) -> Key:
    return scope["path"], scope["query_string"] + _form(scope)


def _form(scope: Scope) -> bytes:
    """Return what tells the forms of an address apart; nothing for the usual one. No query has a blank."""
    for name, value in scope["headers"]:
        if name == b"accept":
            return b" ld" if b"+" in value and prefers(value.decode("latin-1"), JSON_LD, JSON) else b""
    return b""


def _is_kept(answer: Answer, note: CacheNote) -> bool:
    """Whether an answer may be kept: its handler has said what it shows, and it is one for everybody."""
    if note.tags is None:
        return False
    if answer.status == NOT_FOUND:
        return _code_of(answer) == NotFoundError.code
    control = next((value for name, value in answer.headers if name == b"cache-control"), b"public")
    return answer.status in (OK, MOVED) and b"private" not in control and b"no-store" not in control


def _code_of(answer: Answer) -> str:
    try:
        return str(orjson.loads(answer.body)["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def _own_problem(answer: Answer, path: str) -> Answer:
    """Return a problem with the id of this request in it, whoever's request it was first made for."""
    code = _code_of(answer)
    error = NotFoundError() if code == NotFoundError.code else _UNAVAILABLE_ERRORS[code]() if code in _UNAVAILABLE_ERRORS else None
    if error is None:
        return answer
    return Answer(answer.status, answer.headers, problem_body(error, path))
