"""The Taskiq broker: Redis Streams, or RabbitMQ. It carries one task without arguments: look into the outbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from taskiq.kicker import AsyncKicker
from taskiq_redis import RedisStreamBroker

from fastapi_application.redis_conf.redis import connection_arguments

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from taskiq import AckableMessage, AsyncBroker

    from fastapi_application.core.config import Settings

WAKE_UP_TASK = "look_into_the_outbox"
QUEUE = "frankenjet.jobs"
CONNECT_TIMEOUT_S = 1.0
# Longer than a worker's blocking read, which takes 2 s when there is nothing.
SOCKET_TIMEOUT_S = 5.0
_KEPT_WAKE_UPS = 100


class _WakeUpBroker(RedisStreamBroker):
    """Takes a message once, in one round trip: none waits for an acknowledgement, so there is none to claim from the dead.

    The listening of the library looks for such messages after each one, through a pipeline that a cancelled listener leaves open.
    """

    async def listen(self) -> AsyncGenerator[AckableMessage | bytes, None]:  # type: ignore[override] # as the base of all brokers has it
        """Yield what is sent, to one of the listeners each."""
        async with Redis(connection_pool=self.connection_pool) as client:
            while True:
                read = client.xreadgroup(QUEUE, self.consumer_name, {QUEUE: ">"}, count=_KEPT_WAKE_UPS, block=self.block, noack=True)
                found: Any = await read
                for _, messages in found or ():
                    for _, fields in messages:
                        yield fields[b"data"]


def create_broker(settings: Settings) -> AsyncBroker:
    """Create the broker that the settings name. Nothing connects yet."""
    url = settings.tasks.broker_url.get_secret_value() if settings.tasks.broker_url else None
    if url and url.startswith("amqp"):
        return _rabbitmq(url)
    return _redis({"url": url} if url else connection_arguments(settings.redis))


def on_wake_up(broker: AsyncBroker, wake: Callable[[], None]) -> None:
    """Register the broker's one task, for a worker."""

    async def look_into_the_outbox() -> None:
        wake()

    broker.register_task(look_into_the_outbox, task_name=WAKE_UP_TASK)


async def send_wake_up(broker: AsyncBroker) -> None:
    """Send the broker's one task."""
    kicker: AsyncKicker[[], None] = AsyncKicker(task_name=WAKE_UP_TASK, broker=broker, labels={})
    await kicker.kiq()


def _redis(arguments: dict[str, Any]) -> AsyncBroker:
    return _WakeUpBroker(
        **arguments,
        queue_name=QUEUE,
        consumer_group_name=QUEUE,
        # One name for all: nothing waits under it, and each name would stay in Redis for ever.
        consumer_name="worker",
        # From the oldest message on, where the group is new: Redis was emptied, and somebody was quicker than we.
        consumer_id="0",
        maxlen=_KEPT_WAKE_UPS,
        max_connection_pool_size=4,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=SOCKET_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )


def _rabbitmq(url: str) -> AsyncBroker:
    from taskiq_aio_pika import AioPikaBroker, Exchange, Queue  # noqa: PLC0415 - not needed with Redis

    return AioPikaBroker(
        url,
        exchange=Exchange(name=QUEUE),
        # A wake-up that nobody takes within a minute is not worth keeping: workers look by themselves.
        task_queues=[Queue(name=QUEUE, arguments={"x-message-ttl": 60_000})],
        dead_letter_queue=Queue(name=f"{QUEUE}.dead", arguments={"x-message-ttl": 60_000}),
        timeout=CONNECT_TIMEOUT_S,
    )
