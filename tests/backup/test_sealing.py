"""Sealed streams: what was sealed comes back, and nothing else does."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from fastapi_application.backup.errors import BackupError
from fastapi_application.backup.sealing import MAGIC, SEGMENT_BYTES, read_key, seal, unseal
from tests.backup.streams import gather, stream

if TYPE_CHECKING:
    from pathlib import Path

KEY = bytes(range(32))
NAME = "database.dump"
HEADER = len(MAGIC) + 32
SEALED_SEGMENT = SEGMENT_BYTES + 16
SIZES = [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 3 * SEGMENT_BYTES + 17]


async def sealed(data: bytes) -> bytes:
    """Seal in memory."""
    return await gather(seal(stream(data, 7777), KEY, NAME))


async def unsealed(data: bytes, *, key: bytes = KEY, name: str = NAME, size: int = 4096) -> bytes:
    """Unseal in memory."""
    return await gather(unseal(stream(data, size), key, name))


@pytest.mark.parametrize("size", SIZES)
async def test_what_was_sealed_comes_back(size: int) -> None:
    data = random.Random(size).randbytes(size)  # noqa: S311 - any bytes will do
    secret = await sealed(data)
    assert len(secret) == HEADER + size + 16 * max(1, -(-size // SEGMENT_BYTES))
    assert await unsealed(secret) == data
    assert await unsealed(secret, size=10**9) == data
    assert await unsealed(secret, size=33) == data


async def test_equal_contents_look_different_and_show_nothing() -> None:
    data = b"Concorde" * 1000
    first, second = await sealed(data), await sealed(data)
    assert first[HEADER:] != second[HEADER:]
    assert b"Concorde" not in first


@pytest.mark.parametrize("place", [0, len(MAGIC), HEADER, HEADER + SEALED_SEGMENT - 1, HEADER + SEALED_SEGMENT, -1])
async def test_a_changed_bit_is_noticed(place: int) -> None:
    secret = bytearray(await sealed(b"x" * (2 * SEGMENT_BYTES)))
    secret[place] ^= 1
    with pytest.raises(BackupError, match=NAME):
        await unsealed(bytes(secret))


@pytest.mark.parametrize("length", [0, 5, HEADER - 1, HEADER, HEADER + 1, HEADER + SEALED_SEGMENT, HEADER + 2 * SEALED_SEGMENT])
async def test_a_stream_that_was_cut_short_is_noticed(length: int) -> None:
    secret = await sealed(b"x" * (2 * SEGMENT_BYTES + 5))
    with pytest.raises(BackupError, match="cut short"):
        await unsealed(secret[:length])


async def test_exchanged_repeated_and_added_segments_are_noticed() -> None:
    secret = await sealed(random.Random(1).randbytes(3 * SEGMENT_BYTES))  # noqa: S311 - any bytes will do
    header, rest = secret[:HEADER], secret[HEADER:]
    one, two, three = (rest[start : start + SEALED_SEGMENT] for start in range(0, len(rest), SEALED_SEGMENT))
    for other in ((two, one, three), (one, one, two, three), (one, two, three, three), (one, three), (one, two, three, b"\0")):
        with pytest.raises(BackupError):
            await unsealed(header + b"".join(other))


async def test_another_key_and_another_name_do_not_open_it() -> None:
    secret = await sealed(b"text")
    with pytest.raises(BackupError, match="not its key"):
        await unsealed(secret, key=bytes(32))
    with pytest.raises(BackupError, match="images/a"):
        await unsealed(secret, name="images/a")


def test_a_key_file_may_hold_anything_but_too_little(tmp_path: Path) -> None:
    file = tmp_path / "key"
    keys = set()
    for content in (b"0123456789abcdef", b"0123456789abcdeg", bytes(range(256))):
        file.write_bytes(content)
        keys.add(read_key(file))
        assert read_key(file) == read_key(file)
    assert {len(key) for key in keys} == {32}
    assert len(keys) == 3

    file.write_bytes(b"   0123456789abcde\n")
    with pytest.raises(BackupError, match="openssl rand"):
        read_key(file)
