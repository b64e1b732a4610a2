"""Alerts, in earnest: a real Prometheus watches the real service while faults are made, and every query of the dashboard is asked.

    make alerts                                about fifteen minutes
    make alerts ALERTS_ARGS="--only crawler"   one fault, and no dashboard

The rules are the project's; only their times are divided by fifteen, as is the interval at which numbers are read. Exit 1 if an
alert does not fire, does not clear, or says nonsense, or if a query has no data; 75 (NOT RUN) without Prometheus.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from fastapi_application.core.config import PROJECT_ROOT
from faults.causes import CAUSES
from faults.prometheus import HURRY, Prometheus, program
from faults.system import FaultsError, sleep_until
from faults.watched import API, WORKER, Traffic, Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faults.causes import Cause

NOT_RUN = 75
WARM_UP_S = 20
"""Traffic without a fault; then nothing may be firing."""
PATIENCE_S = 240
"""Longer than the longest `for` and its window, divided."""
DASHBOARD = PROJECT_ROOT / "deploy/observability/grafana/dashboards/frankenjet.json"
RATE_INTERVAL = "4s"
"""What Grafana makes of `$__rate_interval` at this interval of reading: four times as long."""
_NONSENSE = re.compile(r"<no value>|<error|error expanding|NaN|%!")
_LEGEND = re.compile(r"{{ *(\w+) *}}")


@dataclass(slots=True)
class Seen:
    """What became of one alert under one fault."""

    alert: str
    cause: str
    fired_s: float | None = None
    cleared_s: float | None = None
    says: str = ""
    beside: set[str] = field(default_factory=set)

    @property
    def problem(self) -> str:
        """What is wrong with it; nothing: an empty text."""
        if self.fired_s is None:
            return "DOES NOT FIRE"
        if _NONSENSE.search(self.says):
            return "SAYS NONSENSE"
        return "" if self.cleared_s is not None else "DOES NOT CLEAR"


class Watch:
    """Follows some alerts through a fault."""

    def __init__(self, prometheus: Prometheus, cause: Cause) -> None:
        """Begin with none."""
        self._prometheus = prometheus
        self.seen = {name: Seen(name, cause.name) for name in cause.alerts}

    async def until(self, done: Callable[[dict[str, list[dict[str, Any]]]], bool], *, seconds: float = PATIENCE_S) -> None:
        """Look each half second, until something is so or patience has come to its end."""
        await sleep_until(lambda: done(self._prometheus.firing()), seconds=seconds, step_s=0.5)

    async def calm(self) -> None:
        """Wait until nothing is left of what was before, not even pending.

        Raises:
            FaultsError: something fires without a fault.

        """
        await self.until(lambda _: not self._prometheus.alerts())
        if left := set(self._prometheus.firing()):
            raise FaultsError(f"fires without a fault: {', '.join(sorted(left))}")

    async def fire(self) -> None:
        """Wait until all of them fire."""
        began = time.monotonic()

        def all_fire(firing: dict[str, list[dict[str, Any]]]) -> bool:
            for name, item in self.seen.items():
                if name in firing and item.fired_s is None:
                    item.fired_s = time.monotonic() - began
                    item.says = " ".join(firing[name][0]["annotations"].values())
                item.beside |= set(firing) - set(self.seen)
            return all(item.fired_s is not None for item in self.seen.values())

        await self.until(all_fire)

    async def clear(self) -> None:
        """Wait until none of them fires."""
        began = time.monotonic()

        def none_fires(firing: dict[str, list[dict[str, Any]]]) -> bool:
            for name, item in self.seen.items():
                if item.cleared_s is None and item.fired_s is not None and name not in firing:
                    item.cleared_s = time.monotonic() - began
            return not set(self.seen) & set(firing)

        await self.until(none_fires)


async def _follow(system: Watched, prometheus: Prometheus, cause: Cause) -> list[Seen]:
    watch = Watch(prometheus, cause)
    print(f"\n{cause.name}: {cause.text}", flush=True)
    try:
        await system.ready_service()
        await watch.calm()
        async with cause.make(system, prometheus):
            await watch.fire()
        await watch.clear()
    except (FaultsError, OSError) as error:
        print(f"    {error}", flush=True)
    for seen in watch.seen.values():
        times = f"fires after {_seconds(seen.fired_s)}, clears after {_seconds(seen.cleared_s)}"
        beside = f"; beside it: {', '.join(sorted(seen.beside))}" if seen.beside else ""
        print(f"    {'FAIL' if seen.problem else 'ok  '} {seen.alert}: {times}{beside}\n         {seen.says}", flush=True)
    return list(watch.seen.values())


@dataclass(frozen=True, slots=True)
class Query:
    """A query of the dashboard."""

    panel: str
    expression: str
    legend: str
    source: str


def dashboard_queries() -> list[Query]:
    """Return what the dashboard asks."""
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [
        Query(panel["title"], target["expr"], target.get("legendFormat", ""), target["datasource"]["uid"])
        for panel in panels
        for target in panel["targets"]
    ]


def problem_of(query: Query, series: list[dict[str, Any]]) -> str:
    """Say what is wrong with what a query has found; nothing: an empty text. After all the faults, no number was 0 all the time."""
    if not series:
        return "NO DATA"
    if not any(value not in ("0", "NaN") for item in series for _, value in item["values"]):
        return "ALWAYS 0"
    labels = set(_LEGEND.findall(query.legend))
    return "" if all(labels <= set(item["metric"]) for item in series) else "LEGEND WITHOUT A LABEL"


def _ask_dashboard(prometheus: Prometheus, since: float) -> bool:
    """Ask every query of the dashboard over the whole time; print how many series have numbers. False if one has none."""
    print(f"\n{'panel of the dashboard':48} {'series':>6}  result")
    is_good = True
    for query in dashboard_queries():
        if query.source != "prometheus":
            print(f"{query.panel:48} {'':6}  NOT RUN: no Loki here")
            continue
        series = prometheus.query_range(query.expression.replace("$__rate_interval", RATE_INTERVAL), since=since)
        found = [item for item in series if any(value not in ("NaN", "+Inf", "-Inf") for _, value in item["values"])]
        problem = problem_of(query, found)
        is_good = is_good and not problem
        print(f"{query.panel[:48]:48} {len(found):6}  {problem or 'ok'}")
    return is_good


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f} s"


def _print_alerts(seen: Sequence[Seen], names: Sequence[str]) -> bool:
    print(f"\n{'alert':32} {'fault':24} {'fires':>6} {'clears':>7}  result (in production up to {HURRY} times as long)")
    for item in seen:
        print(f"{item.alert:32} {item.cause:24} {_seconds(item.fired_s):>6} {_seconds(item.cleared_s):>7}  {item.problem or 'ok'}")
    without = [name for name in names if name not in {item.alert for item in seen}]
    for name in without:
        print(f"{name:32} {'none':24} {'':6} {'':7}  NO FAULT FOR IT")
    return not without and not any(item.problem for item in seen)


async def _run(system: Watched, prometheus: Prometheus, names: Sequence[str]) -> bool:
    await system.mail.open()
    await system.ready_service()
    system.start_worker()
    prometheus.watch(API, f"127.0.0.1:{system.metrics_port}")
    prometheus.watch(WORKER, f"127.0.0.1:{system.worker_metrics_port}")
    traffic = Traffic(system)
    traffic.start()
    began = time.time()
    try:
        await asyncio.sleep(WARM_UP_S)
        seen = [item for name in names for item in await _follow(system, prometheus, CAUSES[name])]
    finally:
        await traffic.stop()
        system.mail.close()
    if len(names) < len(CAUSES):
        return _print_alerts(seen, [])
    is_good = _ask_dashboard(prometheus, began)
    return _print_alerts(seen, prometheus.names()) and is_good


def main() -> int:
    """Make the faults; 1 if an alert or a query is not what it should be."""
    parser = argparse.ArgumentParser(prog="alerts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=sorted(CAUSES), help="this fault, and no dashboard; may be repeated")
    arguments = parser.parse_args()
    if program() is None:
        print("NOT RUN: there is no Prometheus on this machine (Debian: apt-get install prometheus).")
        return NOT_RUN
    with tempfile.TemporaryDirectory(prefix="frankenjet-alerts-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        with Watched(directory / "system") as system, Prometheus(directory / "prometheus") as prometheus:
            return 0 if uvloop.run(_run(system, prometheus, arguments.only or list(CAUSES))) else 1


if __name__ == "__main__":
    sys.exit(main())
