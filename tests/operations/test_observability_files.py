"""Rules, dashboard and configurations: valid, and about metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry
from ruamel.yaml import YAML

from fastapi_application.core.metrics import Instruments
from tests.deploy.files import ROOT, load_yaml

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ROOT / "deploy/observability"
PROMETHEUS = FOLDER / "prometheus"
RULES = YAML(typ="safe").load(PROMETHEUS / "rules.yml")["groups"][0]["rules"]
DASHBOARD = json.loads((FOLDER / "grafana/dashboards/frankenjet.json").read_text("utf-8"))
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"] if target["datasource"]["uid"] == "prometheus"]
_METRIC = re.compile(r"\bfrankenjet_\w+")
_LABELS = re.compile(r"(frankenjet_\w+)\{([^}]*)\}")
promtool = shutil.which("promtool")


def exported() -> dict[str, set[str]]:
    """Return the names of all samples, and the labels of each."""
    registry = CollectorRegistry()
    Instruments(registry)
    found: dict[str, set[str]] = {}
    for collector in registry._collector_to_names:  # noqa: SLF001 - metrics with labels have no samples before they are used
        labels = set(getattr(collector, "_labelnames", ()))
        kind, name = getattr(collector, "_type", ""), getattr(collector, "_name", "")
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(kind, ("",))
        found |= {name + suffix: labels | ({"le"} if suffix == "_bucket" else set()) for suffix in suffixes}
    return found


EXPORTED = exported()


@pytest.mark.parametrize("query", [*(rule["expr"] for rule in RULES), *QUERIES])
def test_query_asks_for_what_is_exported(query: str) -> None:
    names = set(_METRIC.findall(query))
    assert names or "up{" in query
    assert names <= set(EXPORTED)
    for name, labels in _LABELS.findall(query):
        assert set(re.findall(r"(\w+)=", labels)) <= EXPORTED[name]
    for labels in re.findall(r"by \(([^)]*)\)", query):
        known = set.union(*(EXPORTED[name] for name in names)) | {"instance", "job"}
        assert {label.strip() for label in labels.split(",")} <= known


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for query in QUERIES for name in _METRIC.findall(query)}
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in EXPORTED} == shown


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"].endswith(".")
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    text = (ROOT / page).read_text("utf-8")
    assert anchor == rule["alert"].lower()
    entry = text.partition(f"## {rule['alert']}\n")[2].partition("\n## ")[0]
    for heading in ("**Means.**", "**Look at.**", "**Do.**"):
        assert heading in entry


def test_every_alert_has_a_test_that_it_fires_and_clears() -> None:
    tests = YAML(typ="safe").load(PROMETHEUS / "rules.test.yml")["tests"]
    assert {test["name"].split()[0] for test in tests} == {rule["alert"] for rule in RULES}
    for test in tests:
        values = [case["exp_samples"][0]["value"] for case in test["promql_expr_test"]]
        assert values == [1, 0]


def test_rules_do_what_their_tests_say(tmp_path: Path) -> None:
    """With promtool (Debian: prometheus); without it, what the other tests of this file say must do."""
    assert all({"alert", "expr", "for", "labels", "annotations"} == set(rule) for rule in RULES)
    if promtool is None:
        return

    def run(*words: str) -> int:
        return subprocess.run([str(promtool), *words], capture_output=True, text=True, timeout=120, check=False).returncode

    assert run("check", "rules", str(PROMETHEUS / "rules.yml")) == 0
    assert run("check", "config", "--syntax-only", str(PROMETHEUS / "prometheus.yml")) == 0
    assert run("test", "rules", str(PROMETHEUS / "rules.test.yml")) == 0
    shutil.copy(PROMETHEUS / "rules.test.yml", tmp_path)
    (tmp_path / "rules.yml").write_text((PROMETHEUS / "rules.yml").read_text("utf-8").replace("> 0.9", "> 9"), "utf-8")
    assert run("test", "rules", str(tmp_path / "rules.test.yml")) == 1


def test_compose_runs_what_is_configured() -> None:
    services = load_yaml("docker-compose.yaml")["services"]
    profile = {name for name, service in services.items() if service.get("profiles") == ["observability"]}
    assert profile == {"prometheus", "loki", "alloy", "grafana"}
    mounted = [volume.split(":")[0] for name in profile for volume in services[name]["volumes"] if volume.startswith("./")]
    assert all((ROOT / path).is_dir() for path in mounted)
    scraped = load_yaml("deploy/observability/prometheus/prometheus.yml")["scrape_configs"]
    for job in scraped:
        (discovery,) = job["dns_sd_configs"]
        environment = services[discovery["names"][0]]["environment"]
        assert str(discovery["port"]) == environment["METRICS__PORT"]
        assert "metrics" in services[discovery["names"][0]]["networks"]


def test_loki_and_grafana_point_at_each_other() -> None:
    sources = load_yaml("deploy/observability/grafana/provisioning/datasources/sources.yml")["datasources"]
    uids = {source["uid"] for source in sources}
    assert {target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel["targets"]} <= uids
    port = load_yaml("deploy/observability/loki/loki.yml")["server"]["http_listen_port"]
    assert f"http://loki:{port}" in {source["url"] for source in sources}
    assert f"http://loki:{port}/loki/api/v1/push" in (FOLDER / "alloy/config.alloy").read_text("utf-8")
