"""Authenticated encryption of streams: AES-256-GCM in segments, in the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár.

A sealed object is a header (`MAGIC`, a random salt of 32 bytes) and segments of 64 KiB, each with a tag of 16 bytes. The key
of an object is derived from the key file, the salt and the object's name, so that no object passes for another. The nonce of
a segment is its number (11 bytes) and a byte that is 1 in the last one only: segments can neither be exchanged, repeated nor
left out, and an object cannot be cut short. docs/adr/0018 has the reasons.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fastapi_application.backup.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MAGIC = b"frankenjet sealed 1\n"
SEGMENT_BYTES = 64 * 1024
MIN_KEY_BYTES = 16
_SALT_BYTES = 32
_TAG_BYTES = 16
_HEADER_BYTES = len(MAGIC) + _SALT_BYTES


def read_key(path: Path) -> bytes:
    """Read a key file of any content and make a key of it; a short one costs a guesser 16 MB and some 50 ms for each try.

    Raises:
        BackupError: it is too short.

    """
    content = path.read_bytes()
    if len(content.strip()) < MIN_KEY_BYTES:
        raise BackupError(f"The key file {path} has fewer than {MIN_KEY_BYTES} bytes: make one with `openssl rand -hex 32`.")
    return hashlib.scrypt(content, salt=b"frankenjet backup", n=2**14, r=8, p=1, dklen=32)


async def seal(chunks: AsyncIterator[bytes], key: bytes, name: str) -> AsyncIterator[bytes]:
    """Encrypt a stream."""
    salt = secrets.token_bytes(_SALT_BYTES)
    cipher = _cipher(key, salt, name)
    yield MAGIC + salt
    number = 0
    async for segment, is_last in _segments(chunks, SEGMENT_BYTES):
        yield cipher.encrypt(_nonce(number, is_last=is_last), segment, None)
        number += 1


async def unseal(chunks: AsyncIterator[bytes], key: bytes, name: str) -> AsyncIterator[bytes]:
    """Decrypt a stream; each segment is genuine when it comes, and the end when it is reached.

    Raises:
        BackupError: another key, or not what was sealed under this name.

    """
    header, rest = await _split(chunks)
    if len(header) < _HEADER_BYTES or not header.startswith(MAGIC):
        raise BackupError(f"{name} is not encrypted as it should be: it was changed or cut short.")
    cipher = _cipher(key, header[len(MAGIC) :], name)
    number = 0
    async for segment, is_last in _segments(rest, SEGMENT_BYTES + _TAG_BYTES):
        try:
            yield cipher.decrypt(_nonce(number, is_last=is_last), segment, None)
        except InvalidTag:
            raise BackupError(f"{name} cannot be decrypted: this is not its key, or it was changed or cut short.") from None
        number += 1


def _cipher(key: bytes, salt: bytes, name: str) -> AESGCM:
    return AESGCM(HKDF(SHA256(), length=32, salt=salt, info=f"frankenjet backup {name}".encode()).derive(key))


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11) + bytes([is_last])


async def _segments(chunks: AsyncIterator[bytes], size: int) -> AsyncIterator[tuple[bytes, bool]]:
    """Cut a stream into segments; say which is the last, even of an empty stream."""
    buffer = bytearray()
    async for chunk in chunks:
        buffer += chunk
        while len(buffer) > size:
            yield bytes(buffer[:size]), False
            del buffer[:size]
    yield bytes(buffer), True


async def _split(chunks: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """Return the header and the stream behind it."""
    begin = bytearray()
    async for chunk in chunks:
        begin += chunk
        if len(begin) >= _HEADER_BYTES:
            break

    async def rest() -> AsyncIterator[bytes]:
        yield bytes(begin[_HEADER_BYTES:])
        async for chunk in chunks:
            yield chunk

    return bytes(begin[:_HEADER_BYTES]), rest()
