"""The faults, and the bounds that the service keeps under each. Every scenario begins with a service that is ready."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

from faults.client import Client, Tally, closed_loop, longest_gap, percentile
from faults.proxy import Network
from faults.report import Finding
from faults.system import group_of, send_all, sleep_until
from faults.writers import CREATED, Writers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from faults.client import Answer
    from faults.system import System

    type Scenario = Callable[[System, bool], Awaitable[Finding]]

WRITERS = 12
CACHED = "/api/v1/aircraft/concorde"
LIVE, READY = "/api/v1/health/live", "/api/v1/health/ready"
OK, UNAVAILABLE = 200, 503
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    """Register a scenario under its name."""
    SCENARIOS[function.__name__.replace("_", "-")] = function
    return function


@scenario
async def stop_under_load(system: System, full: bool) -> Finding:
    """SIGTERM while editors write: nothing acknowledged is lost, nothing begun is cut, exit 0."""
    finding = Finding("SIGTERM with 12 writers")
    writers = Writers(system, WRITERS, "stopped")
    writers.start()
    await asyncio.sleep(10 if full else 3)
    moment = time.monotonic()
    status, seconds = await asyncio.to_thread(system.terminate_service)
    await writers.stop()
    finding.lost = await writers.lost()
    finding.notes.append(f"{len(writers.acknowledged)} writes acknowledged")
    finding.at_least("writes before the stop", len(writers.acknowledged), 1)
    finding.at_most("acknowledged and lost", finding.lost, 0)
    finding.at_most("requests cut that had begun before", len(writers.cut_before(moment)), 0)
    finding.must("exit status 0", so=status == 0)
    finding.at_most("time to stop", seconds, 30, " s")
    finding.at_most("left idle in transaction", await system.idle_in_transaction(), 0)
    return finding


@scenario
async def kill_one_process(system: System, full: bool) -> Finding:  # noqa: ARG001
    """One process dies: the others serve, and it is back within 5 s."""
    finding = Finding("kill -9 of one process")
    before = await asyncio.to_thread(system.worker_pids)
    victim = min(before)
    client = Client(system.port, system.token)
    load = asyncio.create_task(closed_loop(lambda: client.ask("GET", CACHED), clients=8, seconds=8))
    await asyncio.sleep(1)
    send_all([victim], signal.SIGKILL)
    finding.recovery_s = await sleep_until(lambda: len(system.worker_pids(tries=10) - {victim}) >= len(before), seconds=20)
    tally = await load
    finding.saw(tally)
    finding.at_most("back after", finding.recovery_s, 5, " s")
    finding.at_most("requests lost with it", len(tally.bad()), 8 + 8)
    finding.at_most("longest time without an answer", longest_gap(tally.good()), 2, " s")
    return finding


@scenario
async def freeze_one_process(system: System, full: bool) -> Finding:  # noqa: ARG001
    """One process hangs: the others serve, and it is replaced."""
    finding = Finding("one process frozen")
    before = await asyncio.to_thread(system.worker_pids)
    victim = min(before)
    send_all([victim], signal.SIGSTOP)
    load = asyncio.create_task(closed_loop(_new_client_each(system), clients=4, seconds=8))
    finding.recovery_s = await sleep_until(lambda: victim not in group_of_service(system), seconds=40)
    tally = await load
    finding.saw(tally)
    finding.at_most("replaced after", finding.recovery_s, 20, " s")
    finding.at_most("longest time without an answer", longest_gap(tally.good()), 2, " s")
    finding.at_most("new clients that got no answer", len(tally.bad()), 0)
    await sleep_until(lambda: len(system.worker_pids(tries=10)) >= len(before), seconds=20)
    return finding


def group_of_service(system: System) -> set[int]:
    """Return the processes of the service."""
    return group_of(system.process.pid) if system.process is not None else set()


def _new_client_each(system: System) -> Callable[[], Awaitable[Answer]]:
    async def ask() -> Answer:
        client = Client(system.port, system.token, patience_s=5)
        answer = await client.ask("GET", CACHED)
        client.close()
        return answer

    return ask


@scenario
async def kill_everything(system: System, full: bool) -> Finding:  # noqa: ARG001
    """Service, PostgreSQL and Redis die at once while editors write."""
    finding = Finding("kill -9 of everything")
    writers = Writers(system, WRITERS, "killed")
    writers.start()
    await asyncio.sleep(3)
    send_all(system.postgres_pids() | system.redis_pids(), signal.SIGKILL)
    system.kill_service()
    await writers.stop()
    began = time.monotonic()
    await asyncio.to_thread(system.start_servers)
    finding.notes.append(f"of that, PostgreSQL and Redis: {time.monotonic() - began:.1f} s")
    await system.ready_service()
    finding.recovery_s = time.monotonic() - began
    finding.lost = await writers.lost()
    finding.at_least("writes before", len(writers.acknowledged), 1)
    finding.at_most("acknowledged and lost", finding.lost, 0)
    finding.at_most("ready again after", finding.recovery_s, 15, " s")
    finding.at_most("left idle in transaction", await system.idle_in_transaction(), 0)
    return finding


@scenario
async def start_without_servers(system: System, full: bool) -> Finding:
    """The service starts before PostgreSQL and Redis, and finds them when they come."""
    finding = Finding("start before its servers")
    await asyncio.to_thread(system.terminate_service)
    system.database.set(Network.REFUSING)
    system.redis.set(Network.REFUSING)
    await asyncio.to_thread(system.start_service)
    process = system.process
    await asyncio.sleep(10 if full else 3)
    finding.must("live without them", so=system.get(LIVE)[0] == OK)
    finding.must("not ready without them", so=system.get(READY)[0] == UNAVAILABLE)
    system.open_networks()
    finding.recovery_s = await sleep_until(system.is_ready, seconds=30)
    finding.at_most("ready after their coming", finding.recovery_s, 5, " s")
    finding.must("the same process", so=process is not None and process.poll() is None)
    return finding


async def _fill_cache(system: System) -> None:
    """Let every process keep what is read while PostgreSQL is away."""
    for _ in range(20):
        client = Client(system.port)
        await client.ask("GET", CACHED)
        client.close()


async def _during(system: System, seconds: float, finding: Finding) -> None:
    """Watch the service while PostgreSQL does not answer: others fail politely and in time, live answers at once."""
    client = Client(system.port, system.token)
    public = Client(system.port)
    kept = b"; hit" in (await public.ask("GET", CACHED)).head.lower()
    live, others, cached = Tally(), Tally(), Tally()
    ends = time.monotonic() + seconds

    async def repeat(tally: Tally, ask: Callable[[], Awaitable[Answer]], pause_s: float) -> None:
        while time.monotonic() < ends:
            tally.add(await ask())
            await asyncio.sleep(pause_s)

    work = [repeat(live, lambda: public.ask("GET", LIVE), 0.1)]
    work += [repeat(others, lambda: client.ask("GET", "/api/v1/aircraft?size=5"), 0.2) for _ in range(20)]
    work += [repeat(others, lambda: client.ask("POST", "/api/v1/tags", b'{"name":"x"}'), 0.2) for _ in range(4)]
    finding.must("the read cache has a page", so=kept)
    if kept:
        work.append(repeat(cached, lambda: public.ask("GET", CACHED), 0.1))
    await asyncio.gather(*work)
    finding.saw(others)
    finding.at_least("others refused", sum(answer.is_polite_refusal for answer in others.answers), 1)
    finding.at_most("slowest answer of the others", percentile(others.answers, 100), 6, " s")
    finding.at_most("others neither good nor 503", len(others.bad()), 0)
    finding.at_most("slowest live", percentile(live.answers, 100), 0.25, " s")
    finding.at_most("live that failed", len(live.bad()), 0)
    finding.at_least("cached reads", len(cached.good()), seconds)
    finding.at_most("cached reads that failed", len(cached.bad()) + len(cached.of(UNAVAILABLE)), 0)


async def _recovers(system: System, finding: Finding, limit_s: float = 2) -> None:
    client = Client(system.port, system.token)
    began = time.monotonic()
    while time.monotonic() - began < 30:  # noqa: PLR2004 - far beyond the limit
        answers = await asyncio.gather(*(client.ask("GET", "/api/v1/aircraft?size=5") for _ in range(8)))
        if all(answer.status == OK for answer in answers):
            break
        await asyncio.sleep(0.05)
    finding.recovery_s = time.monotonic() - began
    finding.at_most("well again after", finding.recovery_s, limit_s, " s")


@scenario
async def freeze_postgres(system: System, full: bool) -> Finding:
    """PostgreSQL stops in the middle of whatever it does, and goes on later."""
    finding = Finding("PostgreSQL frozen")
    await _fill_cache(system)
    frozen = system.postgres_pids()
    send_all(frozen, signal.SIGSTOP)
    try:
        await _during(system, 20 if full else 10, finding)
    finally:
        send_all(frozen, signal.SIGCONT)
    await _recovers(system, finding)
    await asyncio.sleep(3)
    finding.at_most("left idle in transaction", await system.idle_in_transaction(), 0)
    return finding


@scenario
async def restart_postgres(system: System, full: bool) -> Finding:  # noqa: ARG001
    """PostgreSQL is stopped immediately and started again, under load of editors."""
    finding = Finding("PostgreSQL restarted (immediate)")
    writers = Writers(system, WRITERS, "restarted")
    writers.start()
    await asyncio.sleep(2)
    await asyncio.to_thread(system.crash_postgres)
    await asyncio.sleep(1)
    finding.must("live without it", so=(await asyncio.to_thread(system.get, LIVE))[0] == OK)
    await asyncio.to_thread(system.start_servers)
    await _recovers(system, finding)
    await asyncio.sleep(1)
    await writers.stop()
    finding.saw(writers.tally)
    finding.lost = await writers.lost()
    finding.at_most("acknowledged and lost", finding.lost, 0)
    finding.at_most("answers neither good nor 503", len(writers.tally.bad()), 0)
    return finding


@scenario
async def cut_network(system: System, full: bool) -> Finding:
    """Packets to PostgreSQL vanish; then they are refused."""
    finding = Finding("network to PostgreSQL cut")
    await _fill_cache(system)
    system.database.set(Network.SILENT)
    await _during(system, 20 if full else 8, finding)
    system.database.set(Network.REFUSING)
    await asyncio.sleep(1)
    system.database.set(Network.OPEN)
    await _recovers(system, finding)
    return finding


@scenario
async def lock_row(system: System, full: bool) -> Finding:  # noqa: ARG001
    """Another session holds the row that an editor writes."""
    finding = Finding("row locked by another session")
    client = Client(system.port, system.token)
    holder = await system.connect()
    try:
        async with holder.transaction():
            await holder.execute("SELECT 1 FROM aircraft WHERE slug = 'concorde' FOR UPDATE")
            etag = (await client.ask("GET", CACHED)).head.lower().partition(b"etag: ")[2].partition(b"\r\n")[0].decode()
            body = b'{"wingspan_m": 25.5}'
            answer = await client.ask("PATCH", f"{CACHED}?comment=faults", body, If_Match=etag)
    finally:
        await holder.close()
    finding.must("503 with Retry-After", so=answer.is_polite_refusal)
    finding.at_most("answered after", answer.seconds, 2, " s")
    answer = await client.ask("PATCH", f"{CACHED}?comment=faults", b'{"wingspan_m": 25.6}', If_Match=etag)
    finding.must("the same write succeeds when the lock is gone", so=answer.status == OK)
    return finding


@scenario
async def exhaust_pool(system: System, full: bool) -> Finding:  # noqa: ARG001
    """More editors wait for a locked row than the pool has connections; readers must go on after it."""
    finding = Finding("pool exhausted by a lock")
    client = Client(system.port, system.token)
    etag = (await client.ask("GET", CACHED)).head.lower().partition(b"etag: ")[2].partition(b"\r\n")[0].decode()
    holder = await system.connect()
    try:
        async with holder.transaction():
            await holder.execute("SELECT 1 FROM aircraft WHERE slug = 'concorde' FOR UPDATE")
            asks = [client.ask("PATCH", f"{CACHED}?comment=faults", b'{"wingspan_m": 25.5}', If_Match=etag) for _ in range(200)]
            tally = Tally(await asyncio.gather(*asks))
    finally:
        await holder.close()
    finding.saw(tally)
    finding.at_least("refused", sum(answer.is_polite_refusal for answer in tally.answers), 1)
    finding.at_most("neither good nor 503", len(tally.bad()), 0)
    finding.at_most("slowest", max(answer.seconds for answer in tally.answers), 6, " s")
    await _recovers(system, finding)
    finding.at_most("left idle in transaction", await system.idle_in_transaction(), 0)
    return finding


@scenario
async def abort_clients(system: System, full: bool) -> Finding:
    """Clients hang up while they are being served."""
    finding = Finding("clients that hang up")
    tally = Tally()

    async def abort_one(number: int) -> None:
        client = Client(system.port, system.token, patience_s=0.01 * (number % 20))
        body = b'{"name":"aborted %d","category":"role"}' % number
        tally.add(await client.ask("POST", "/api/v1/tags?comment=faults", body))
        client.close()

    for first in range(0, 1000 if full else 300, 20):
        await asyncio.gather(*(abort_one(number) for number in range(first, first + 20)))
    finding.notes.append(f"{len(tally.of(0))} have hung up, {len(tally.of(CREATED))} were answered before they could")
    finding.at_least("clients that hung up", len(tally.of(0)), 50)
    await _recovers(system, finding, limit_s=5)  # what they have asked for is done first
    await asyncio.sleep(1)
    finding.at_most("left idle in transaction", await system.idle_in_transaction(), 0)
    return finding


async def _without_redis(system: System, finding: Finding, seconds: float) -> None:
    client, public = Client(system.port, system.token), Client(system.port)
    writers = Writers(system, 4, f"no redis {finding.name}")
    writers.start()
    reads = await closed_loop(lambda: public.ask("GET", CACHED), clients=4, seconds=seconds)
    await writers.stop()
    finding.saw(reads)
    finding.lost = await writers.lost()
    finding.at_most("reads that failed", len(reads.bad()) + len(reads.of(UNAVAILABLE)), 0)
    finding.at_most("writes that failed", len(writers.tally.answers) - len(writers.tally.of(CREATED)), 0)
    finding.at_least("writes", len(writers.acknowledged), 1)
    finding.at_most("acknowledged and lost", finding.lost, 0)
    finding.at_most("slowest read", percentile(reads.answers, 100), 3, " s")
    finding.must("still ready", so=(await asyncio.to_thread(system.get, READY))[0] == OK)
    client.close()


async def _redis_is_back(system: System, finding: Finding) -> None:
    def passes() -> bool:
        kept = "; hit" in system.get(CACHED)[1].get("cache-status", "")  # memory is not trusted without Redis
        return kept and system.get("/api/v1/health/redis")[0] == OK

    finding.recovery_s = await sleep_until(passes, seconds=30)
    finding.at_most("Redis used again after", finding.recovery_s, 5, " s")


@scenario
async def freeze_redis(system: System, full: bool) -> Finding:
    """Redis hangs: everything works without it."""
    finding = Finding("Redis frozen")
    frozen = system.redis_pids()
    send_all(frozen, signal.SIGSTOP)
    try:
        await _without_redis(system, finding, 20 if full else 6)
    finally:
        send_all(frozen, signal.SIGCONT)
    await _redis_is_back(system, finding)
    return finding


@scenario
async def cut_network_to_redis(system: System, full: bool) -> Finding:
    """Packets to Redis vanish; then they are refused."""
    finding = Finding("network to Redis cut")
    for state in (Network.SILENT, Network.REFUSING):
        system.redis.set(state)
        await _without_redis(system, finding, 10 if full else 4)
    system.redis.set(Network.OPEN)
    await _redis_is_back(system, finding)
    return finding


@scenario
async def kill_redis(system: System, full: bool) -> Finding:
    """Redis dies: everything works without it, and it is used again when it is back."""
    finding = Finding("Redis killed")
    send_all(system.redis_pids(), signal.SIGKILL)
    await _without_redis(system, finding, 20 if full else 5)
    await asyncio.to_thread(system.start_servers)
    await _redis_is_back(system, finding)
    return finding


@scenario
async def fill_redis(system: System, full: bool) -> Finding:
    """Redis refuses every write, as it does when it is full or its disk is."""
    finding = Finding("Redis full")
    policy, most = (system.redis_command("CONFIG", "GET", name).split("\r\n")[-2] for name in ("maxmemory-policy", "maxmemory"))
    system.redis_command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    system.redis_command("CONFIG", "SET", "maxmemory", "1")
    try:
        finding.must("Redis refuses writes", so=system.redis_command("SET", "faults", "1").startswith("-OOM"))
        await _without_redis(system, finding, 20 if full else 5)
    finally:
        system.redis_command("CONFIG", "SET", "maxmemory", most)
        system.redis_command("CONFIG", "SET", "maxmemory-policy", policy)
    await _redis_is_back(system, finding)
    return finding
