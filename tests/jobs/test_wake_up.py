"""The broker wakes workers, and nothing more: without it a job only waits for the next look into the outbox."""

from __future__ import annotations

import asyncio
import gc
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest
import redis.asyncio
from asgi_lifespan import LifespanManager
from pydantic import SecretStr
from taskiq_aio_pika import AioPikaBroker
from taskiq_redis import RedisStreamBroker

from fastapi_application.core.config import Settings, TasksSettings, get_settings
from fastapi_application.create_fastapi_app import create_fastapi_app
from fastapi_application.jobs import wake_up
from fastapi_application.jobs import worker as worker_module
from fastapi_application.jobs.broker import QUEUE, WAKE_UP_TASK, create_broker, on_wake_up, send_wake_up
from fastapi_application.jobs.wake_up import listening, wake_ups
from tests.support.application import Application
from tests.support.jobs import a_job, leave, until, until_done, working
from tests.support.log_capture import captured_lines
from tests.support.network import door

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from taskiq import AsyncBroker

    from fastapi_application.jobs.registry import JobContext
    from tests.support.jobs import Connection


def with_broker(url: str) -> Settings:
    """Return the settings with another broker."""
    settings = get_settings()
    return settings.model_copy(update={"tasks": TasksSettings(broker_url=SecretStr(url))})


@pytest.fixture
def own_broker(database: str, worker_id: str) -> Settings:
    """Return settings with a Redis database of this process alone: other test processes have workers as well."""
    number = 8 + int(worker_id.removeprefix("gw") or 0) % 8 if worker_id.startswith("gw") else 7
    url = get_settings().redis.url
    assert url is not None
    return with_broker(url.get_secret_value().replace("db=0", f"db={number}"))


@pytest.fixture
async def broker_redis(own_broker: Settings) -> AsyncIterator[redis.asyncio.Redis]:
    """Look into that database."""
    url = own_broker.tasks.broker_url
    assert url is not None
    client = redis.asyncio.Redis.from_url(url.get_secret_value())
    await client.flushdb()
    yield client
    await client.flushdb()
    await client.aclose()


async def nothing(_context: JobContext, _payload: Mapping[str, Any]) -> None:
    """Handle a job."""


async def until_listening(client: redis.asyncio.Redis) -> None:
    """Wait for the first worker's consumer group."""

    async def has_group() -> bool:
        return bool(await client.exists(QUEUE)) and bool(await client.xinfo_groups(QUEUE))

    await until(has_group)


async def test_a_wake_up_reaches_the_worker_and_says_nothing_of_the_job(
    own_broker: Settings, broker_redis: redis.asyncio.Redis, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "SWEEP_S", 600)
    app = create_fastapi_app(own_broker)
    async with LifespanManager(app) as manager, working(a_job("greet", nothing), settings=own_broker):
        await until_listening(broker_redis)
        identifier = await leave(Application(app, httpx.ASGITransport(manager.app)), "greet", secret="not for the broker")
        await until_done(db, identifier)
    messages = repr(await broker_redis.xrange(QUEUE))
    assert WAKE_UP_TASK in messages
    assert "secret" not in messages
    assert str(identifier) not in messages


async def test_emptying_redis_loses_no_job_and_the_worker_listens_again(
    own_broker: Settings, broker_redis: redis.asyncio.Redis, application: Application, db: Connection
) -> None:
    async with working(a_job("greet", nothing), settings=own_broker):
        await until_listening(broker_redis)
        await broker_redis.flushdb()
        await until_done(db, await leave(application, "greet"))
        await until_listening(broker_redis)


async def test_without_a_broker_the_job_is_done_by_the_next_look(application: Application, db: Connection) -> None:
    async with door() as closed:
        settings = with_broker(f"redis://127.0.0.1:{closed.port}/0")
        async with working(a_job("greet", nothing), settings=settings):
            await until_done(db, await leave(application, "greet"))


async def test_a_broker_that_says_nothing_keeps_nobody_waiting_and_is_used_when_it_is_back(
    own_broker: Settings, broker_redis: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = captured_lines(monkeypatch, wake_up)
    monkeypatch.setattr(wake_up, "SEND_TIMEOUT_S", 0.2)

    async def events() -> list[str]:
        return [line["event"] for line in lines]

    async def is_away() -> bool:
        return "broker_away" in await events()

    async def is_back() -> bool:
        await alarm.ask()
        return "broker_back" in await events()

    url = own_broker.tasks.broker_url
    assert url is not None
    parts = urlsplit(url.get_secret_value())
    async with door() as silent:
        number = parse_qs(parts.query)["db"][0]
        settings = with_broker(f"redis://:{parts.password}@127.0.0.1:{silent.port}/{number}")
        await silent.open()
        async with wake_ups(settings) as alarm:
            for _ in range(100):
                await alarm.ask()
            await until(is_away)
            await silent.close()
            await silent.open(_socket(parts.path))
            # No more than one try at a time, and a second for each on a machine that is busy.
            monkeypatch.setattr(wake_up, "SEND_TIMEOUT_S", 10)
            await until(is_back)
    assert await events() == ["broker_away", "broker_back"]
    assert await broker_redis.xlen(QUEUE) >= 1


def _socket(path: str) -> Path:
    return Path(unquote(path))


async def test_listening_ends_when_it_is_told_to(own_broker: Settings, broker_redis: redis.asyncio.Redis) -> None:
    wake = asyncio.Event()
    before = asyncio.all_tasks()
    async with listening(own_broker, wake):
        await until_listening(broker_redis)

    async def is_over() -> bool:
        return asyncio.all_tasks() <= before

    await until(is_over)


async def _has_woken(sender: AsyncBroker, wake: asyncio.Event) -> bool:
    """Send again each time: a message may go to a listener that has just left."""
    await send_wake_up(sender)
    return wake.is_set()


async def test_whoever_stops_listening_in_the_midst_of_messages_leaves_nothing_open(
    own_broker: Settings, broker_redis: redis.asyncio.Redis
) -> None:
    sender = create_broker(own_broker)
    await sender.startup()
    gc.collect()
    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always")
        for turns in range(40):
            wake = asyncio.Event()
            async with listening(own_broker, wake):
                await until(partial(_has_woken, sender, wake))
                for _ in range(turns):
                    await asyncio.sleep(0)
        gc.collect()
    await sender.shutdown()
    assert [str(warning.message) for warning in left] == []
    assert (await broker_redis.xpending(QUEUE, QUEUE))["pending"] == 0


def test_redis_is_the_broker_unless_another_is_named() -> None:
    settings = get_settings()
    broker = create_broker(settings)
    assert isinstance(broker, RedisStreamBroker)
    assert settings.redis.url is not None
    assert broker.connection_pool.connection_kwargs["path"] == _socket(urlsplit(settings.redis.url.get_secret_value()).path).as_posix()
    named = create_broker(with_broker("redis://:a%20password@broker:6390/3"))
    assert isinstance(named, RedisStreamBroker)
    arguments = named.connection_pool.connection_kwargs
    assert [arguments[name] for name in ("host", "port", "db", "password")] == ["broker", 6390, 3, "a password"]


async def test_rabbitmq_is_the_broker_when_the_url_names_it() -> None:
    """The construction only: there is no RabbitMQ here."""
    async with door() as closed:
        url = f"amqp://user:password@127.0.0.1:{closed.port}/host"
        broker = create_broker(with_broker(url))
        assert isinstance(broker, AioPikaBroker)
        assert broker.url == url
        assert [queue.name for queue in broker._task_queues] == [QUEUE]  # noqa: SLF001 - no public name
        on_wake_up(broker, asyncio.Event().set)
        assert broker.find_task(WAKE_UP_TASK) is not None
        with pytest.raises(ConnectionError):
            await broker.startup()
        await broker.shutdown()
