"""An answer that is kept: its final bytes, plain and gzip'd, and what it stands and falls with."""

from __future__ import annotations

import gzip
import hashlib
import re
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import orjson

from fastapi_application.redis_conf.cache_backend import unwrap, wrap
from fastapi_application.redis_conf.link import bulk

if TYPE_CHECKING:
    from fastapi_application.redis_conf.generations import Moment

type Header = tuple[bytes, bytes]

OK, MOVED, NOT_FOUND, NOT_MODIFIED = 200, 308, 404, 304
MIN_GZIP_BYTES = 1024
GZIP_LEVEL = 5
_OVERHEAD_BYTES = 2048
_ETAG = re.compile(rb'(?:W/)?"([^"]*)"')
_OF_A_BODY = {b"content-type", b"content-length", b"content-encoding"}
_DROPPED = {b"content-length", b"etag"}
_REMEMBERED_CONDITIONS = 8
"""Of each answer: clients that ask again send what they got, but anybody may send anything."""


@lru_cache(maxsize=256)
def accepts_gzip(accept_encoding: bytes) -> bool:
    """Whether the client takes gzip, by RFC 9110: named (or `*`) and not with a quality of 0."""
    chosen = None
    for part in accept_encoding.lower().split(b","):
        name, _, parameters = part.strip().partition(b";")
        if name.strip() in (b"gzip", b"*") and (chosen is None or name.strip() == b"gzip"):
            chosen = not re.fullmatch(rb"\s*q\s*=\s*0(\.0*)?\s*", parameters)
    return bool(chosen)


def compress(body: bytes) -> bytes:
    """The same bytes for the same body, on every worker."""
    return gzip.compress(body, GZIP_LEVEL, mtime=0)


@dataclass(slots=True)
class Form:
    """What one kind of client gets: with gzip, without, or a 304."""

    status: int
    headers: list[Header]
    body: bytes
    lines: bytes = b""
    """All headers that every hit in this form has, once somebody has encoded them."""


@dataclass(slots=True)
class Answer:
    """A status, headers and a body as a handler made them, and the forms of it that clients get."""

    status: int
    headers: list[Header]
    body: bytes
    etag: bytes | None = None
    zipped: bytes | None = None
    _plain: Form | None = None
    _gzip: Form | None = None
    _unchanged: dict[tuple[bytes, bytes | None], Form] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take the ETag out of the headers: each form has its own; a 200 without one gets one from its bytes."""
        self.etag = self.etag or next((value for name, value in self.headers if name == b"etag"), None)
        if self.etag is None and self.status == OK:
            self.etag = b'"%b"' % hashlib.blake2b(self.body, digest_size=9).hexdigest().encode()
        self.headers = [header for header in self.headers if header[0] not in _DROPPED]

    @property
    def is_compressible(self) -> bool:
        """Whether gzip is worth its time."""
        return self.status == OK and len(self.body) >= MIN_GZIP_BYTES

    def form_for(self, accept_encoding: bytes | None, if_none_match: bytes | None) -> Form:
        """Return the form that a client wants, or need not be sent again."""
        if if_none_match is not None and (unchanged := self._unchanged_for(if_none_match, accept_encoding)) is not None:
            return unchanged
        if accept_encoding is not None and self.is_compressible and accepts_gzip(accept_encoding):
            if self._gzip is None:
                self.zipped = self.zipped or compress(self.body)
                self._gzip = self._with(self.zipped, (b"content-encoding", b"gzip"), *self._etag_header(gzip=True))
            return self._gzip
        if self._plain is None:
            self._plain = self._with(self.body, *self._etag_header(gzip=False))
        return self._plain

    def _unchanged_for(self, if_none_match: bytes, accept_encoding: bytes | None) -> Form | None:
        """Return a 304 if the client has this answer in one of its forms (weak comparison)."""
        asked = (if_none_match, accept_encoding)
        form = self._unchanged.get(asked)
        if form is None and (tag := self._tag_named(if_none_match, accept_encoding)) is not None:
            kept = [header for header in self.headers if header[0] not in _OF_A_BODY]
            form = Form(NOT_MODIFIED, [*kept, (b"etag", b'"%b"' % tag)], b"")
            if len(self._unchanged) >= _REMEMBERED_CONDITIONS:
                self._unchanged.clear()
            self._unchanged[asked] = form
        return form

    def _tag_named(self, if_none_match: bytes, accept_encoding: bytes | None) -> bytes | None:
        if self.status != OK or self.etag is None:
            return None
        plain = self.etag.strip(b'"')
        named = set(_ETAG.findall(if_none_match))
        gzipped = plain + b".gz"
        prefers_gzip = accept_encoding is not None and self.is_compressible and accepts_gzip(accept_encoding)
        if if_none_match.strip() == b"*":
            named = {gzipped if prefers_gzip else plain}
        if not named & {plain, gzipped}:
            return None
        return gzipped if gzipped in named and (prefers_gzip or plain not in named) else plain

    def _with(self, body: bytes, *more: Header) -> Form:
        return Form(self.status, [*self.headers, *more, (b"content-length", b"%d" % len(body))], body)

    def _etag_header(self, *, gzip: bool) -> list[Header]:
        if self.etag is None:
            return []
        return [(b"etag", self.etag[:-1] + b'.gz"' if gzip else self.etag)]


@dataclass(slots=True)
class Entry:
    """An answer that is kept, with its place on the clock."""

    answer: Answer
    moment: Moment
    tag_keys: tuple[bytes, ...]
    level_key: bytes
    until: float
    """Unix time after which it is not served, whatever the clock says."""
    size: int = 0
    key_count: int = 0
    key_words: bytes = b""
    """Its tags, encoded for `arrive.lua`; its state and its key of the Redis level come behind the client's policy."""
    state_words: bytes = b""
    command: tuple[bytes, bytes] | None = None
    """What stands before and after the client's limit when an anonymous client asks for it, once somebody has encoded it."""

    def __post_init__(self) -> None:
        """Precompute what each look-up sends."""
        answer = self.answer
        self.size = _OVERHEAD_BYTES + 2 * len(answer.body) + sum(map(len, self.tag_keys))
        self.key_count = 3 + len(self.tag_keys)
        self.key_words = b"".join(map(bulk, self.tag_keys))
        self.found_current(b"%d" % self.moment.clock)

    def found_current(self, clock: bytes) -> None:
        """Remember that nothing that it shows was touched up to this clock."""
        words = (clock, self.moment.epoch, b"%d" % self.moment.clock, self.level_key)
        self.state_words = b"".join(map(bulk, words))
        self.command = None

    def packed(self) -> bytes:
        """Return the bytes for the Redis level."""
        answer = self.answer
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in answer.headers]
        zipped = answer.is_compressible
        if zipped:
            answer.zipped = answer.zipped or compress(answer.body)
        meta = orjson.dumps([answer.status, headers, answer.etag.decode("latin-1") if answer.etag else None, zipped, self.until])
        return wrap(self.moment, self.tag_keys, meta + b"\n" + ((answer.zipped or b"") if zipped else answer.body))


def unpack(raw: bytes, level_key: bytes) -> Entry | None:
    """Read an entry of the Redis level; None for what is not whole or has had its time."""
    whole = unwrap(raw)
    if whole is None:
        return None
    moment, tag_keys, value = whole
    meta, _, body = value.partition(b"\n")
    status, headers, etag, zipped, until = orjson.loads(meta)
    if until < time.time():
        return None
    answer = Answer(
        status,
        [(name.encode("latin-1"), text.encode("latin-1")) for name, text in headers],
        gzip.decompress(body) if zipped else body,
        etag=etag.encode("latin-1") if etag else None,
        zipped=body if zipped else None,
    )
    return Entry(answer, moment, tag_keys, level_key, until)


class LocalStore:
    """The entries in this process's memory: a bounded number of bytes, the least recently used go first."""

    def __init__(self, max_bytes: int) -> None:
        """Set the bound."""
        self.max_bytes = max_bytes
        self.bytes = 0
        self._entries: OrderedDict[tuple[str, bytes], Entry] = OrderedDict()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._entries)

    def get(self, key: tuple[str, bytes]) -> Entry | None:
        """Return an entry that has not had its time, and mark it as used."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.until < time.time():
            self.remove(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: tuple[str, bytes], entry: Entry) -> None:
        """Keep an entry, unless a younger one is there or it is too large."""
        before = self._entries.get(key)
        if before is not None and before.moment.epoch == entry.moment.epoch and before.moment.clock > entry.moment.clock:
            return
        if entry.size > self.max_bytes // 8:
            return
        self.remove(key)
        entry.size += len(key[0]) + len(key[1])
        self._entries[key] = entry
        self.bytes += entry.size
        self._shrink()

    def remove(self, key: tuple[str, bytes]) -> None:
        """Drop an entry."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.bytes -= entry.size

    def _shrink(self) -> None:
        while self.bytes > self.max_bytes:
            self.remove(next(iter(self._entries)))
