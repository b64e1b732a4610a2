"""How long search and suggest take on a hundred thousand entries: percentiles of requests one after the other, uncached.

    .venv/bin/python -m benchmarks.search

Runs on PostgreSQL and Redis of its own, which it removes at the end.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from fastapi_application.core.config import get_settings
from fastapi_application.local import local_servers, remove_local
from tests.pages.test_search import SEARCHES
from tests.support.application import Application, running_application
from tests.support.many import multiply
from tests.support.seeded import connection_to, seed
from tests.support.servers import create_database, migrate, use_database

QUESTIONS = 400
NAME = "benchmark"
LIMITS_MS = {"search": 60, "suggest": 15}


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile of some values."""
    return statistics.quantiles(values, n=100)[percent - 1]


async def measure(application: Application, path: str, questions: list[str]) -> list[float]:
    """Return the milliseconds of each request."""
    times = []
    async with application.client() as client:
        for question in questions[:20]:  # connections, plans and caches
            await client.get(path, params={"q": question})
        for question in questions:
            started = time.perf_counter()
            answer = await client.get(path, params={"q": question})
            times.append((time.perf_counter() - started) * 1000)
            answer.raise_for_status()
    return times


async def fill() -> None:
    """Load the starter encyclopedia and multiply it."""
    await seed(NAME)
    async with connection_to(NAME) as connection:
        await multiply(connection)


async def run() -> bool:
    """Measure, print, and say whether both are within their limits."""
    chance = random.Random(1)  # noqa: S311 - the same questions in every run
    words = [search["q"] for search in SEARCHES] + ["fighter", "bomber", "jet", "wing", "boeing", "истребитель", "supersonic"]
    asked = [chance.choice(words) for _ in range(QUESTIONS)]
    begun = [word[: chance.randint(1, 6)].strip() or word for word in asked]
    good = True
    async with running_application() as application:
        for name, questions in (("search", asked), ("suggest", begun)):
            times = await measure(application, f"/api/v1/{name}", questions)
            p95 = percentile(times, 95)
            good = good and p95 <= LIMITS_MS[name]
            print(f"{name}: p50 {percentile(times, 50):.1f} ms, p95 {p95:.1f} ms, p99 {percentile(times, 99):.1f} ms")
    return good


def main() -> int:
    """Run the benchmark; exit 1 if a limit is exceeded."""
    directory = Path(tempfile.mkdtemp(prefix="frankenjet-bench-"))
    os.environ["LOCAL__DIR"] = str(directory)
    with local_servers(directory, postgres=True, redis=True) as variables:
        os.environ.update(variables, RATE_LIMIT__ENABLED="false", CACHE__ENABLED="false")
        get_settings.cache_clear()
        create_database(NAME)
        use_database(NAME)
        migrate()
        asyncio.run(fill())
        good = asyncio.run(run())
    remove_local(directory)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
