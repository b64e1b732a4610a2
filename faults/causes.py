"""What makes each alert fire: a fault of the real servers, for as long as the block of its function runs."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faults.client import Client
from faults.overload import UNCACHED
from faults.system import send_all
from faults.watched import API, CACHED, WORKER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from faults.client import Answer
    from faults.prometheus import Prometheus
    from faults.watched import Watched

    type Make = Callable[[Watched, Prometheus], AbstractAsyncContextManager[None]]

LIST = "/api/v1/aircraft?size=100"
CROWD = 300
_FORGOTTEN = """
INSERT INTO outbox_job (id, name, payload, run_at) VALUES (gen_random_uuid(), 'of-a-newer-worker', '{}', now() - interval '10 minutes')
"""
_RETRY = "UPDATE outbox_job SET given_up_at = NULL, attempts = 0, run_at = now() WHERE given_up_at IS NOT NULL"
_BROKEN = """
CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a broken page' USING ERRCODE = 'XX001'; END $$;
CREATE TRIGGER broken BEFORE INSERT ON fact FOR EACH ROW EXECUTE FUNCTION broken();
"""


@dataclass(frozen=True, slots=True)
class Cause:
    """A fault, and the alerts that it must raise."""

    name: str
    alerts: tuple[str, ...]
    make: Make

    @property
    def text(self) -> str:
        """What is done, in one line."""
        return (self.make.__doc__ or "").splitlines()[0].rstrip(".")


CAUSES: dict[str, Cause] = {}


def _cause(*alerts: str) -> Callable[[Callable[[Watched, Prometheus], AsyncIterator[None]]], Make]:
    def register(function: Callable[[Watched, Prometheus], AsyncIterator[None]]) -> Make:
        make = asynccontextmanager(function)
        name = function.__name__.replace("_", "-")
        CAUSES[name] = Cause(name, tuple(f"FrankenJet{alert}" for alert in alerts), make)
        return make

    return register


@asynccontextmanager
async def _crowd(ask: Callable[[], Awaitable[Answer]], clients: int, pause_s: float = 0) -> AsyncIterator[None]:
    """Let clients ask without a pause, each waiting for its answer, while the block runs."""

    async def work() -> None:
        while True:
            answer = await ask()
            await asyncio.sleep(pause_s if answer.status > 0 else 0.1)

    tasks = [asyncio.create_task(work()) for _ in range(clients)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _again_and_again(do: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Repeat something while the block runs; what has begun is finished."""
    is_over = asyncio.Event()

    async def work() -> None:
        while not is_over.is_set():
            await do()

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        is_over.set()
        await task


@_cause("DatabaseDown", "Unavailable")
async def postgresql_stopped(system: Watched, _: Prometheus) -> AsyncIterator[None]:
    """PostgreSQL is stopped immediately."""
    await asyncio.to_thread(system.crash_postgres)
    try:
        yield
    finally:
        await asyncio.to_thread(system.start_servers)


@_cause("RedisDown", "LimiterAlone")
async def redis_stopped(system: Watched, _: Prometheus) -> AsyncIterator[None]:
    """Redis is killed."""
    send_all(system.redis_pids(), signal.SIGKILL)
    try:
        yield
    finally:
        await asyncio.to_thread(system.start_servers)


@_cause("LimiterAlone")
async def redis_full(system: Watched, _: Prometheus) -> AsyncIterator[None]:
    """Redis answers pings, and refuses every write."""
    policy = system.redis_command("CONFIG", "GET", "maxmemory-policy").split("\r\n")[-2]
    system.redis_command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    system.redis_command("CONFIG", "SET", "maxmemory", "1")
    try:
        yield
    finally:
        system.redis_command("CONFIG", "SET", "maxmemory", "0")
        system.redis_command("CONFIG", "SET", "maxmemory-policy", policy)


@_cause("PoolExhausted")
async def row_locked(system: Watched, _: Prometheus) -> AsyncIterator[None]:
    """A forgotten session holds a row that forty editors write."""
    client = Client(system.port, system.token)
    etag = (await client.ask("GET", CACHED)).head.lower().partition(b"etag: ")[2].partition(b"\r\n")[0].decode()
    holder = await system.connect()
    try:
        async with holder.transaction():
            await holder.execute("SELECT 1 FROM aircraft WHERE slug = 'concorde' FOR UPDATE")
            async with _crowd(lambda: client.ask("PATCH", f"{CACHED}?comment=faults", b'{"wingspan_m": 25.5}', If_Match=etag), 40):
                yield
    finally:
        await holder.close()


@_cause("Slow", "SlowStatements")
async def table_locked(system: Watched, _: Prometheus) -> AsyncIterator[None]:
    """Another session locks a table for 1.3 s again and again."""
    client = Client(system.port, system.token)
    holder = await system.connect()

    async def lock() -> None:
        async with holder.transaction():
            await holder.execute("LOCK TABLE aircraft IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(1.3)
        await asyncio.sleep(0.2)

    try:
        async with _again_and_again(lock), _crowd(lambda: client.ask("GET", CACHED), 8):
            yield
    finally:
        await holder.close()


@_cause("Shedding")
async def overload(system: Watched, _: Prometheus) -> AsyncIterator[None]:
    """Three hundred clients ask for what no cache answers, without a pause."""
    client = Client(system.port, system.token)
    async with _crowd(lambda: client.ask("GET", UNCACHED), CROWD):
        yield


@_cause("ServerErrors")
async def database_corrupt(system: Watched, _: Prometheus) -> AsyncIterator[None]:
    """PostgreSQL says "data corrupted" (a trigger raises it), to a single request."""
    client = Client(system.port, system.token)
    await system.execute(_BROKEN)
    try:
        await client.ask("POST", "/api/v1/facts?comment=faults", b'{"text":"The only one."}')
        yield
    finally:
        await system.execute("DROP FUNCTION broken() CASCADE")


@_cause("EventLoopBlocked")
async def processor_taken(system: Watched, _: Prometheus) -> AsyncIterator[None]:
    """One process is stopped for a second again and again, as by a machine without CPU to spare."""
    victim = [min(await asyncio.to_thread(system.worker_pids))]

    async def stop() -> None:
        send_all(victim, signal.SIGSTOP)
        try:
            await asyncio.sleep(1)
        finally:
            send_all(victim, signal.SIGCONT)
        await asyncio.sleep(0.5)

    async with _again_and_again(stop):
        yield


@_cause("CacheUseless", "Memory")
async def crawler(system: Watched, _: Prometheus) -> AsyncIterator[None]:
    """A crawler asks for every combination of filters, and CACHE__LOCAL_MAX_MB is far too large."""
    await system.restart_service(CACHE__LOCAL_MAX_MB="600")
    client = Client(system.port)
    numbers = iter(range(10_000, 10_000_000))
    async with _crowd(lambda: client.ask("GET", f"{LIST}&max_speed_kmh.lte={next(numbers)}"), 4, pause_s=0.02):
        yield
    await system.restart_service()


@_cause("MailsFail")
async def mail_server_in_trouble(system: Watched, _: Prometheus) -> AsyncIterator[None]:
    """The mail server answers 451 to every mail."""
    system.mail.answer = "451 try later"
    yield
    system.mail.answer = "250 OK"


@_cause("JobsGivenUp")
async def mail_refused(system: Watched, _: Prometheus) -> AsyncIterator[None]:
    """The mail server refuses every mail for good (550)."""
    system.mail.answer = "550 no such user"
    yield
    system.mail.answer = "250 OK"
    await asyncio.sleep(1)  # what is under way is refused first
    await system.query(_RETRY)


@_cause("JobsOverdue")
async def old_worker(system: Watched, _: Prometheus) -> AsyncIterator[None]:
    """A job waits that only a newer worker knows (due ten minutes ago: the one time that is made up)."""
    await system.query(_FORGOTTEN)
    yield
    await system.query("DELETE FROM outbox_job WHERE name = 'of-a-newer-worker'")


@_cause("WorkerDown")
async def worker_killed(system: Watched, _: Prometheus) -> AsyncIterator[None]:
    """The worker is killed."""
    system.kill_worker()
    yield
    system.start_worker()


@_cause("Down")
async def service_killed(system: Watched, _: Prometheus) -> AsyncIterator[None]:
    """Every process of the service is killed."""
    system.kill_service()
    yield
    await system.ready_service()


@_cause("Absent", "WorkerDown")
async def discovery_broken(system: Watched, prometheus: Prometheus) -> AsyncIterator[None]:
    """Prometheus' discovery finds no container any more."""
    prometheus.watch(API)
    prometheus.watch(WORKER)
    yield
    prometheus.watch(API, f"127.0.0.1:{system.metrics_port}")
    prometheus.watch(WORKER, f"127.0.0.1:{system.worker_metrics_port}")
