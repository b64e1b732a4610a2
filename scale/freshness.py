"""Read your writes: the first read of every page that shows a change, at both processes, after each of some hundred writes."""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scale.editor import API, change, create, public, sign_in, step
from scale.system import EMAIL, PASSWORD

if TYPE_CHECKING:
    import httpx

    from scale.report import Report
    from scale.system import ScaledSystem

READERS = 6
_OK = 200


@dataclass(frozen=True, slots=True)
class Target:
    """An entry whose label is written again and again, and the pages that show it."""

    path: str
    label: str
    pages: tuple[str, ...]


@dataclass(slots=True)
class Tally:
    """What readers met."""

    reads: int = 0
    stale: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    hits: int = 0


async def check(system: ScaledSystem, report: Report, rounds: int) -> None:
    """Write, then read everywhere, while others read without a pause."""
    chance = random.Random(20_261_121)  # noqa: S311 - chooses, keeps no secret
    tally, noise = Tally(), Tally()
    scans = await system.scans_at_replica()
    async with AsyncExitStack() as stack:
        editor = await stack.enter_async_context(await sign_in(system, EMAIL, PASSWORD))
        readers = [
            await stack.enter_async_context(public(address)) for address in (*system.api_addresses, system.uncached_address, system.address)
        ]
        targets = await _world(editor)
        pages = sorted({page for target in targets for page in target.pages})
        crowd = [asyncio.create_task(_read_on(system, chance.sample(pages, len(pages)), noise)) for _ in range(READERS)]
        try:
            for number in range(rounds):
                target, value = chance.choice(targets), f"Falke {number} {chance.randrange(10**9)}"
                await change(editor, target.path, **{target.label: value})
                if target.label == "title":
                    await step(editor, target.path, "publish")
                await _read_everywhere(readers, [*target.pages, f"{API}/search?q={value.replace(' ', '+')}"], value, tally, chance)
        finally:
            for task in crowd:
                task.cancel()
            await asyncio.gather(*crowd, return_exceptions=True)
    report.must(
        f"{tally.reads} first reads after {rounds} writes show the write", so=bool(tally.reads) and not tally.stale, detail=tally.stale
    )
    report.must(f"{noise.reads} reads meanwhile are answered 200", so=noise.reads > rounds and not noise.failed, detail=noise.failed[:5])
    scans = await system.scans_at_replica() - scans
    report.must(f"{scans} scans of tables at the replica, for the process without a cache", so=scans > 0)
    report.must(f"{noise.hits} of them from the cache", so=noise.hits > 0)


async def _read_everywhere(readers: list[httpx.AsyncClient], pages: list[str], value: str, tally: Tally, chance: random.Random) -> None:
    """Read each page at each process, in any order, and some at once."""
    questions = [(reader, page) for reader in readers for page in pages]
    chance.shuffle(questions)
    for some in itertools.batched(questions, 4):
        answers = await asyncio.gather(*(reader.get(page) for reader, page in some))
        tally.reads += len(answers)
        for (_, page), answer in zip(some, answers, strict=True):
            number = value.rsplit(maxsplit=1)[-1]
            if answer.status_code != _OK or number not in answer.text:
                tally.stale.append(f"{page}: {answer.status_code}, {answer.headers.get('cache-status')}, without {value!r}")


async def _read_on(system: ScaledSystem, pages: list[str], tally: Tally) -> None:
    async with public(system.address) as client:
        for page in itertools.cycle(pages):
            answer = await client.get(page)
            tally.reads += 1
            tally.hits += "; hit" in answer.headers.get("cache-status", "")
            if answer.status_code != _OK:
                tally.failed.append(f"{page}: {answer.status_code} {answer.text[:200]}")


async def _world(editor: httpx.AsyncClient) -> list[Target]:
    """Create entries that show each other; return them with the pages that show their labels."""
    country = await create(editor, "countries", name="Falkenland", code="FK")
    designer = await create(editor, "designers", name="Ada Falke", country=country["slug"])
    refers: dict[str, Any] = {"countries": [country["slug"]], "designers": [{"designer": designer["slug"]}]}
    planes = [await create(editor, "aircraft", name=f"Falke {number}", category="airplane", **refers) for number in range(3)]
    about = [plane["slug"] for plane in planes]
    article = await create(editor, "articles", title="On falcons", category="event", content="They fly.", aircraft=about)
    path = f"{API}/articles/{article['slug']}"
    await step(editor, path, "publish")
    of_planes = tuple(f"{API}/aircraft/{slug}" for slug in about)
    targets = [
        Target(
            page,
            "name",
            (page, f"{API}/aircraft?country=FK", f"{API}/designers/{designer['slug']}", f"{API}/aircraft?sort=-updated_at&size=1", path),
        )
        for page in of_planes
    ]
    of_designer, of_country = f"{API}/designers/{designer['slug']}", f"{API}/countries/{country['slug']}"
    targets.append(Target(of_designer, "name", (of_designer, f"{API}/designers", *of_planes)))
    targets.append(Target(of_country, "name", (of_country, f"{API}/countries?code=FK", *of_planes, of_designer)))
    targets.append(Target(path, "title", (path, f"{API}/articles", "/feeds/articles.atom", *of_planes)))
    return targets
