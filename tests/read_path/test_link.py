"""The link to Redis: batches, the breaker, lost scripts, and what happens when another server answers."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.core.config import RedisSettings, get_settings
from fastapi_application.redis_conf import link as link_module
from fastapi_application.redis_conf.generations import EVERYTHING, Generations, Moment
from fastapi_application.redis_conf.link import RedisAwayError, RedisLink, RedisReplyError, Script, pack
from tests.read_path.support import until
from tests.support.log_capture import captured_lines
from tests.support.network import door
from tests.support.redis import PrivateRedis, private_redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PrivateRedis]:
    """Run a Redis of the test's own."""
    with private_redis(tmp_path) as running:
        yield running


@asynccontextmanager
async def linked(settings: RedisSettings, *, up: bool = True) -> AsyncIterator[tuple[RedisLink, Generations]]:
    """Open a link and the clock on it."""
    link = RedisLink(settings)
    generations = Generations(link, "test", 60)
    await link.start(30 if up else 0)
    assert link.is_up is up
    try:
        yield link, generations
    finally:
        await link.stop()


async def look_when_up(link: RedisLink, generations: Generations) -> Moment:
    """Ask for the clock after the connection was lost."""
    while True:
        await until(lambda: link.is_up)
        with contextlib.suppress(RedisAwayError):
            return (await generations.look(b"key"))[0]


async def test_commands_of_one_turn_travel_together(server: PrivateRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    flush = link_module._Connection._flush  # noqa: SLF001

    def noting(self: Any) -> None:
        writes.append(b"".join(self._out))
        flush(self)

    async with linked(server.settings) as (link, _):
        monkeypatch.setattr(link_module._Connection, "_flush", noting)  # noqa: SLF001
        replies = await asyncio.gather(*(link.command("ECHO", f"word {number}") for number in range(100)))
        assert replies == [f"word {number}".encode() for number in range(100)]
        assert writes == [b"".join(pack("ECHO", f"word {number}") for number in range(100))]


async def test_an_error_is_the_reply_of_its_own_command(server: PrivateRedis) -> None:
    async with linked(server.settings) as (link, _):
        commands = [link.command("SET", "a", "1"), link.command("INCR", "a", "b"), link.command("GET", "a")]
        first, wrong, last = await asyncio.gather(*commands, return_exceptions=True)
    assert (first, last) == (b"OK", b"1")
    assert isinstance(wrong, RedisReplyError)


async def test_a_caller_that_gives_up_takes_nobodys_reply(server: PrivateRedis) -> None:
    async with linked(server.settings) as (link, _):
        impatient = asyncio.create_task(link.command("ECHO", "given up"))
        await asyncio.sleep(0)
        impatient.cancel()
        assert await link.command("ECHO", "mine") == b"mine"


async def test_scripts_that_redis_has_lost_are_sent_again(server: PrivateRedis) -> None:
    async with linked(server.settings) as (link, generations):
        for _ in range(2):
            await link.command("SCRIPT", "FLUSH")
            await generations.advance(["aircraft:1"])
        clock = int(await link.command("GET", generations.tag_keys(["aircraft:1"])[0]))
        await link.command("SCRIPT", "FLUSH")
        # Nobody waits for this one: it is repeated all the same.
        generations.keep(generations.tag_keys(["aircraft:2"]), b"key", b"entry", 60)
        while await link.command("GET", "key") is None:  # noqa: ASYNC110 - Redis does not tell us
            await asyncio.sleep(0)
        assert int(await link.command("GET", generations.tag_keys(["aircraft:2"])[0])) == clock


async def test_a_hanging_redis_costs_one_time_out_and_then_nothing(server: PrivateRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = captured_lines(monkeypatch, link_module)
    async with linked(server.settings) as (link, generations):
        server.freeze()
        waiting = [asyncio.create_task(link.command("PING")) for _ in range(50)]
        assert {type(error) for error in await asyncio.gather(*waiting, return_exceptions=True)} == {RedisAwayError}
        assert not link.is_up
        # From now on every command fails at once, without the loop having turned.
        for _ in range(1000):
            with pytest.raises(RedisAwayError):
                link.send(pack("PING"))
        server.thaw()
        await until(lambda: link.is_up)
        await generations.advance(["aircraft:1"])
    assert [line["event"] for line in lines if line["event"] in ("redis_away", "redis_back")] == ["redis_away", "redis_back"]


async def test_only_one_task_looks_whether_redis_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = captured_lines(monkeypatch, link_module)
    async with door() as port, linked(RedisSettings(host="127.0.0.1", port=port.port), up=False) as (link, _):
        await port.open()  # somebody accepts, and says nothing
        await until(lambda: port.connections >= 2)
        for _ in range(100):
            with pytest.raises(RedisAwayError):
                await link.command("PING")
        connections = port.connections
        await asyncio.sleep(0)
        assert port.connections <= connections + 1
    assert [line["event"] for line in lines] == ["redis_away"]


async def test_a_link_starts_without_redis_and_finds_it(tmp_path: Path) -> None:
    server = PrivateRedis(tmp_path)
    async with linked(server.settings, up=False) as (link, generations):
        with pytest.raises(RedisAwayError):
            await generations.advance(["aircraft"])
        try:
            server.start()
            await until(lambda: link.is_up)
            await generations.advance(["aircraft"])
        finally:
            server.close()


async def test_another_server_or_an_older_dump_begins_a_new_epoch(server: PrivateRedis) -> None:
    async with linked(server.settings) as (link, generations):
        await generations.advance(["aircraft:1"])
        before, _, _ = await generations.look(b"key")
        server.keep_dump()
        await generations.advance(["aircraft:1"])
        after, _, _ = await generations.look(b"key")
        assert (after.epoch, after.clock > before.clock) == (before.epoch, True)
        server.restore_dump()
        restored = await look_when_up(link, generations)
        assert restored.epoch != before.epoch
        assert restored.clock > after.clock


async def test_a_second_worker_does_not_begin_another_epoch(server: PrivateRedis) -> None:
    async with linked(server.settings) as (_, here):
        first, _, _ = await here.look(b"key")
        async with linked(server.settings) as (_, there):
            second, _, _ = await there.look(b"key")
    assert first.epoch == second.epoch


async def test_an_emptied_redis_begins_a_new_epoch(server: PrivateRedis) -> None:
    async with linked(server.settings) as (link, generations):
        first, _, _ = await generations.look(b"key")
        await link.command("FLUSHALL")
        second, _, _ = await generations.look(b"key")
        assert second.epoch != first.epoch
        assert second.clock > first.clock
        await generations.advance([EVERYTHING])
        third, _, _ = await generations.look(b"key")
        assert third.epoch != second.epoch


async def test_the_clock_never_goes_back(server: PrivateRedis) -> None:
    async with linked(server.settings) as (link, generations):
        ahead = 4_000_000_000_000_000  # the year 2096: the clock of the machine is behind it
        await link.command("SET", generations.clock_key, ahead)
        await link.command("SET", generations.epoch_key, ahead)
        for step in range(1, 4):
            await generations.advance(["aircraft"])
            moment, _, _ = await generations.look(b"key")
            assert moment.clock == ahead + step


async def test_a_full_redis_refuses_and_is_reported_once(server: PrivateRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = captured_lines(monkeypatch, link_module)
    async with linked(server.settings) as (link, generations):
        await link.command("CONFIG", "SET", "maxmemory", "1")
        for _ in range(3):
            with pytest.raises(RedisReplyError) as refusal:
                await generations.advance(["aircraft"])
            link.complain(refusal.value)
        assert link.is_up
    assert [line["event"] for line in lines] == ["redis_refuses"]


async def test_passwords_and_databases_are_obeyed(server: PrivateRedis) -> None:
    with server.client() as client:
        client.config_set("requirepass", "a password")
    for settings, name in (
        (RedisSettings(host="127.0.0.1", port=server.port, password="a password", db=3), b"3"),
        (RedisSettings(url=f"redis://:a%20password@127.0.0.1:{server.port}/5"), b"5"),
    ):
        async with linked(settings) as (link, _):
            assert b" db=%b " % name in await link.command("CLIENT", "INFO")
            assert b" name=frankenjet " in await link.command("CLIENT", "INFO")
    async with linked(RedisSettings(host="127.0.0.1", port=server.port, password="wrong"), up=False):
        pass


async def test_the_settings_of_this_run_lead_to_redis(servers: None) -> None:
    async with linked(get_settings().redis) as (link, _):
        assert await link.run(Script("gcra", "generations", "look"), ("a-clock", "an-epoch", "a-key"), (60,))
        await link.command("DEL", "a-clock", "an-epoch")
