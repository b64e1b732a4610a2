"""`@cache` of fastapi-cache2 over our Redis level: for application code, under the same clock."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from fastapi_cache import FastAPICache
from fastapi_cache.decorator import cache as library_cache

from fastapi_application.redis_conf.cache_backend import MAX_VALUE_BYTES, OrjsonCoder, RedisLevel, build_key, unwrap, wrap
from fastapi_application.redis_conf.generations import Moment
from tests.read_path.support import started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

_calls: list[str] = []


@pytest.fixture(autouse=True)
async def _application(database: str) -> AsyncIterator[None]:
    """Open the cache under a prefix of the test's own; an application that ends leaves it to the one before."""
    async with started() as own:
        FastAPICache.reset()
        level: RedisLevel = own.fastapi.state.read_path.level
        FastAPICache.init(level, f"test:{uuid.uuid4()}", 60, OrjsonCoder, build_key)
        await words("")
        await level.generations.look(b"")  # if Redis did not know the script that nobody waits for, it does now
        _calls.clear()
        yield


def cache[**P, R](namespace: str, expire: int) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Coroutine[Any, Any, R]]]:
    """Return the library's decorator: its type says that any function may return a Response."""
    decorator: Any = library_cache(namespace=namespace, expire=expire)
    return decorator  # type: ignore[no-any-return]


@cache(namespace="words", expire=60)
async def words(language: str, *, length: int = 3) -> dict[str, Any]:
    """Count how often it is really asked."""
    _calls.append(language)
    return {"language": language, "length": length, "_spec_type": "no meaning", "odd: %&": "&:"}


async def test_a_value_is_computed_once_for_its_arguments() -> None:
    answers = [await words("en"), await words("en"), await words("ru"), await words("en", length=4), await words(language="en")]
    assert _calls == ["en", "ru", "en"]
    assert answers[0] == answers[1] == answers[4]
    assert answers[0]["_spec_type"] == "no meaning"


async def test_clearing_a_namespace_ends_its_values_and_no_others() -> None:
    @cache(namespace="others", expire=60)
    async def others() -> int:
        _calls.append("others")
        return 1

    for _ in range(2):
        await words("en")
        await others()
    assert _calls == ["en", "others"]
    await FastAPICache.clear(namespace="words")
    await words("en")
    await others()
    assert _calls == ["en", "others", "en"]


async def test_what_was_computed_before_a_clear_is_not_kept_after_it() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @cache(namespace="slow", expire=60)
    async def slow() -> int:
        _calls.append("slow")
        begun.set()
        await go_on.wait()
        return len(_calls)

    early = asyncio.create_task(slow())
    await begun.wait()
    await FastAPICache.clear(namespace="slow")
    go_on.set()
    assert await early == 1
    assert await slow() == 2
    assert await slow() == 2


async def test_a_value_that_needs_another_is_as_old_as_its_own_question() -> None:
    """What is asked on the way is younger, and must not make the whole look younger."""

    @cache(namespace="inner", expire=60)
    async def inner() -> int:
        return 1

    @cache(namespace="outer", expire=60)
    async def outer() -> int:
        _calls.append("outer")
        if len(_calls) == 1:
            await FastAPICache.clear(namespace="outer")
        return await inner() + len(_calls)

    assert [await outer() for _ in range(3)] == [2, 3, 3]


async def test_an_application_that_ends_leaves_the_cache_to_the_one_that_runs_on() -> None:
    async with started() as outer:
        async with started() as inner:
            assert FastAPICache.get_backend() is inner.fastapi.state.read_path.level
        assert FastAPICache.get_backend() is outer.fastapi.state.read_path.level


async def test_nothing_injected_becomes_part_of_a_key() -> None:
    async def handler(session: object) -> None:
        """Take what differs in every request."""

    with pytest.raises(TypeError, match="session cannot be part of a cache key"):
        build_key(handler, kwargs={"session": object()})


def test_keys_of_different_arguments_differ() -> None:
    async def handler(a: str, b: str = "") -> None:
        """Take two texts."""

    keys = {
        build_key(handler, "n", kwargs={"a": a, "b": b}) for a, b in [("x", "y"), ("x&b=y", ""), ("x", "y&"), ("x:", "y"), ("x%3A", "y")]
    }
    assert len(keys) == 5
    assert all(key.rpartition(":")[0] == f"n:{__name__}.{handler.__qualname__}".rpartition(":")[0] for key in keys)


def test_an_entry_is_whole_or_not_there() -> None:
    entry = wrap(Moment(b"1", 2), (b"tag:a", b"tag:b"), b'{"a":1}')
    assert unwrap(entry) == (Moment(b"1", 2), (b"tag:a", b"tag:b"), b'{"a":1}')
    for index in range(len(entry)):
        assert unwrap(entry[:index]) is None
        changed = bytes([*entry[:index], entry[index] ^ 1, *entry[index + 1 :]])
        assert unwrap(changed) is None


async def test_what_is_too_large_is_not_stored() -> None:
    async with started() as own:
        level: RedisLevel = own.fastapi.state.read_path.level
        key = f"large:{uuid.uuid4()}".encode()
        level.put(key, b"x" * (MAX_VALUE_BYTES + 1), (), 60)
        assert await own.link.command("EXISTS", key) == 0
        level.put(key, b"x" * MAX_VALUE_BYTES, (), 60)
        assert await own.link.command("EXISTS", key) == 1
