"""Prometheus, as Debian packages it, with the project's own rules: its time is divided by one number, and nothing else is changed."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote_plus, urlencode

from ruamel.yaml import YAML

from fastapi_application.core.config import PROJECT_ROOT
from faults.system import FaultsError, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HURRY = 15
"""How much faster than in production: numbers are read each second instead of each 15 seconds."""
CONFIGURATION = PROJECT_ROOT / "deploy/observability/prometheus"
START_S = 30
STOP_S = 20
_LOOKBACK_S = 300
_DURATION = re.compile(r"(for: |\[|offset )(\d+)([smh])\b")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def hurried(rules: str) -> str:
    """Divide every `for`, window and offset of rules by `HURRY`.

    Raises:
        ValueError: one of them has no whole number of seconds then.

    """

    def divide(found: re.Match[str]) -> str:
        seconds, rest = divmod(int(found[2]) * _SECONDS[found[3]], HURRY)
        if rest:
            raise ValueError(f"{found[0]}: not a multiple of {HURRY} s")
        return f"{found[1]}{seconds}s"

    return _DURATION.sub(divide, rules)


def program() -> str | None:
    """Find Prometheus on this machine."""
    return shutil.which("prometheus")


class Prometheus:
    """A server of its own, on a free port of the loopback interface, for as long as the block runs."""

    def __init__(self, directory: Path) -> None:
        """Start nothing yet."""
        self.directory = directory
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it, without targets."""
        self.directory.mkdir()
        (self.directory / "rules.yml").write_text(hurried((CONFIGURATION / "rules.yml").read_text("utf-8")), "utf-8")
        (self.directory / "prometheus.yml").write_text(json.dumps(self._configuration()), "utf-8")
        words = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{self.port}"]
        words += [f"--query.lookback-delta={_LOOKBACK_S // HURRY}s", "--log.level=warn"]
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen([str(program()), *words], cwd=self.directory, stdout=log, stderr=log, start_new_session=True)
        self._wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _configuration(self) -> dict[str, Any]:
        """Return the project's configuration, with targets that are files instead of names of containers."""
        configuration: dict[str, Any] = YAML(typ="safe").load(CONFIGURATION / "prometheus.yml")
        every = configuration["global"]
        for name in ("scrape_interval", "evaluation_interval"):
            every[name] = f"{int(every[name].removesuffix('s')) // HURRY}s"
        for job in configuration["scrape_configs"]:
            del job["dns_sd_configs"]
            job["file_sd_configs"] = [{"files": [f"{job['job_name']}.json"], "refresh_interval": "1s"}]
            self.watch(job["job_name"])
        return configuration

    def watch(self, job: str, *addresses: str) -> None:
        """Let a job have these targets, and no others."""
        new = self.directory / f"{job}.new"
        new.write_text(json.dumps([{"targets": list(addresses)}]), "utf-8")
        new.replace(self.directory / f"{job}.json")

    def _wait_ready(self) -> None:
        ends = time.monotonic() + START_S
        while time.monotonic() < ends and self._process is not None and self._process.poll() is None:
            try:
                if self._get("/-/ready")[0] == http.client.OK:
                    return
            except OSError:
                time.sleep(0.1)
        raise FaultsError(f"Prometheus does not start: {(self.directory / 'log').read_text('utf-8')[-2000:]}")

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that are pending or firing."""
        found: list[dict[str, Any]] = self._ask("/api/v1/alerts")["alerts"]
        return found

    def firing(self) -> dict[str, list[dict[str, Any]]]:
        """Return the alerts that are firing, by name."""
        found: dict[str, list[dict[str, Any]]] = {}
        for alert in self.alerts():
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert)
        return found

    def names(self) -> list[str]:
        """Return the names of all alerts."""
        return [rule["name"] for group in self._ask("/api/v1/rules")["groups"] for rule in group["rules"]]

    def query_range(self, query: str, *, since: float, step_s: int = 1) -> list[dict[str, Any]]:
        """Return the series of a query from a moment (seconds of the epoch) until now."""
        parameters = {"query": query, "start": f"{since:.3f}", "end": f"{time.time():.3f}", "step": str(step_s)}
        found: list[dict[str, Any]] = self._ask("/api/v1/query_range", parameters)["result"]
        return found

    def _ask(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        status, body = self._get(f"{path}?{urlencode(parameters or {}, quote_via=quote_plus)}")
        answer = json.loads(body)
        if status != http.client.OK or answer["status"] != "success":
            raise FaultsError(f"Prometheus: {answer.get('error', status)}: {parameters}")
        return answer["data"]

    def _get(self, target: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", target)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
