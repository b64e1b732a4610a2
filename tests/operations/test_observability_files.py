"""Rules, dashboard and configurations: valid, and about metrics that exist."""

from __future__ import annotations

import copy
import json
import re
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client import CollectorRegistry
from ruamel.yaml import YAML

from fastapi_application.core.metrics import Instruments
from faults.alerts import Query, Seen, problem_of
from faults.causes import CAUSES
from faults.prometheus import HURRY, hurried
from tests.deploy.files import ROOT, load_yaml, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = ROOT / "deploy/observability"
PROMETHEUS = FOLDER / "prometheus"
RULES = YAML(typ="safe").load(PROMETHEUS / "rules.yml")["groups"][0]["rules"]
DASHBOARD = json.loads((FOLDER / "grafana/dashboards/frankenjet.json").read_text("utf-8"))
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"] if target["datasource"]["uid"] == "prometheus"]
_METRIC = re.compile(r"\bfrankenjet_\w+")
RUNBOOK = (ROOT / "docs/runbook.md").read_text("utf-8")
_LABELS = re.compile(r"(frankenjet_\w+)\{([^}]*)\}")
_TIME = re.compile(r"\b\d+[smh]\b")
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
        assert set(re.findall(r"(\w+)=", labels)) <= EXPORTED[name] | {"job"}
    for labels in re.findall(r"by \(([^)]*)\)", query):
        known = set.union(*(EXPORTED[name] for name in names)) | {"instance", "job"}
        assert {label.strip() for label in labels.split(",")} <= known


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for query in QUERIES for name in _METRIC.findall(query)}
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in EXPORTED} == shown


def test_no_label_is_one_that_prometheus_sets() -> None:
    """It would rename ours, and a query for `job` would find its own."""
    assert not [name for name, labels in EXPORTED.items() if labels & {"job", "instance"}]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    severity, annotations = rule["labels"]["severity"], rule["annotations"]
    assert severity in {"critical", "warning"}
    assert all(annotations[name].endswith((".", "}")) for name in ("summary", "description"))
    assert annotations["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
    entry = RUNBOOK.partition(f"\n### {rule['alert']}\n")[2].partition("\n##")[0]
    assert entry.strip().startswith(f"*{severity.capitalize()}.* **Means.**")
    for heading in ("**Look at.**", "**Do.**"):
        assert heading in entry


def test_runbook_is_about_what_there_is() -> None:
    alerts = {rule["alert"] for rule in RULES}
    assert set(re.findall(r"^### (FrankenJet\w+)$", RUNBOOK, re.MULTILINE)) == alerts
    assert set(re.findall(r"\bFrankenJet[A-Z]\w+", RUNBOOK)) <= alerts
    assert set(_METRIC.findall(RUNBOOK)) <= set(EXPORTED)
    headings = re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK)) <= anchors
    assert "alerts" in anchors, "other pages link to it"


def test_metrics_in_the_documentation_exist() -> None:
    page = (ROOT / "docs/observability.md").read_text("utf-8")
    rows = re.findall(r"^\| (`[^|]+`) \|", page.partition("| metric ")[2].partition("\n\n")[0], re.MULTILINE)
    named = {f"frankenjet_{name}" for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == {re.sub(r"_(bucket|count|sum)$", "", name) for name in EXPORTED}


def test_every_alert_is_made_in_earnest() -> None:
    """`make alerts` makes a fault for each; here, that none was forgotten."""
    assert {alert for cause in CAUSES.values() for alert in cause.alerts} == {rule["alert"] for rule in RULES}


def test_without_prometheus_nothing_is_claimed() -> None:
    result = run(sys.executable, "-m", "faults.alerts", env={"PATH": "/nonexistent"})
    assert (result.returncode, result.stdout.partition(":")[0]) == (75, "NOT RUN")


def test_an_alert_must_fire_make_sense_and_clear() -> None:
    assert Seen("A", "cause").problem == "DOES NOT FIRE"
    assert Seen("A", "cause", fired_s=1).problem == "DOES NOT CLEAR"
    assert Seen("A", "cause", fired_s=1, cleared_s=1, says="The worker <no value> is down.").problem == "SAYS NONSENSE"
    assert Seen("A", "cause", fired_s=1, cleared_s=1, says="The worker a is down.").problem == ""


def test_a_query_must_find_something_that_its_legend_can_name() -> None:
    query = Query("panel", "sum by (status) (x)", "{{status}}", "prometheus")
    assert problem_of(query, []) == "NO DATA"
    assert problem_of(query, [{"metric": {"status": "200"}, "values": [[1, "0"], [2, "NaN"]]}]) == "ALWAYS 0"
    assert problem_of(query, [{"metric": {}, "values": [[1, "1"]]}]) == "LEGEND WITHOUT A LABEL"
    assert problem_of(query, [{"metric": {"status": "200"}, "values": [[1, "1"]]}]) == ""


def test_rules_in_a_hurry_differ_in_their_times_only() -> None:
    text = (PROMETHEUS / "rules.yml").read_text("utf-8")
    fast = YAML(typ="safe").load(hurried(text))["groups"][0]["rules"]
    for rule, faster in zip(RULES, fast, strict=True):
        for name in ("alert", "labels", "annotations"):
            assert faster[name] == rule[name]
        times, fast_times = ([rule["for"], *_TIME.findall(rule["expr"])] for rule in (rule, faster))
        assert [_seconds(time) for time in times] == [HURRY * _seconds(time) for time in fast_times]
        assert _TIME.sub("", faster["expr"]) == _TIME.sub("", rule["expr"])
    with pytest.raises(ValueError, match="not a multiple"):
        hurried("for: 10s")


def _seconds(time: str) -> int:
    return int(time[:-1]) * {"s": 1, "m": 60, "h": 3600}[time[-1]]


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

    assert run(promtool, "check", "rules", str(PROMETHEUS / "rules.yml")).returncode == 0
    assert run(promtool, "check", "config", "--syntax-only", str(PROMETHEUS / "prometheus.yml")).returncode == 0
    (tmp_path / "fast.yml").write_text(hurried((PROMETHEUS / "rules.yml").read_text("utf-8")), "utf-8")
    assert run(promtool, "check", "rules", str(tmp_path / "fast.yml")).returncode == 0
    assert run(promtool, "test", "rules", str(PROMETHEUS / "rules.test.yml")).returncode == 0
    shutil.copy(PROMETHEUS / "rules.test.yml", tmp_path)
    (tmp_path / "rules.yml").write_text((PROMETHEUS / "rules.yml").read_text("utf-8").replace("> 0.9", "> 9"), "utf-8")
    assert run(promtool, "test", "rules", str(tmp_path / "rules.test.yml")).returncode == 1


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


def lost(written: Any, read: Any, path: str = "") -> Iterator[str]:
    """Name what Grafana's own description of a dashboard does not know: it is gone after reading."""
    if isinstance(written, dict) and isinstance(read, dict):
        for name, value in written.items():
            yield from lost(value, read[name], f"{path}/{name}") if name in read else (f"{path}/{name}",)
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        for index, (value, kept) in enumerate(zip(written, read, strict=True)):
            yield from lost(value, kept, f"{path}/{index}")
    elif written != read:
        yield path


def unknown_to_grafana(dashboard: dict[str, Any]) -> list[str]:
    """Read a dashboard as Grafana's schema of it does, and write it again."""
    register_default_plugins()
    read = Dashboard.from_json(copy.deepcopy(dashboard))
    return list(lost(dashboard, json.loads(json.dumps(read, cls=JSONEncoder))))


def test_dashboard_is_one_that_grafana_knows() -> None:
    assert unknown_to_grafana(DASHBOARD) == []
    wrong = copy.deepcopy(DASHBOARD)
    wrong["panels"][0]["titel"] = "x"
    wrong["panels"][0]["targets"][0]["exprr"] = "x"
    wrong["panels"][-1]["options"]["shown"] = True
    assert sorted(unknown_to_grafana(wrong)) == ["/panels/0/targets/0/exprr", "/panels/0/titel", "/panels/24/options/shown"]


def test_dashboard_has_room_for_every_panel() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [cell for panel in panels for cell in cells_of(**panel["gridPos"])]
    assert len(cells) == len(set(cells)), "two panels overlap"
    assert max(x for x, _ in cells) < 24, "Grafana's grid has 24 columns"


def cells_of(x: int, y: int, w: int, h: int) -> list[tuple[int, int]]:
    """Return the cells of the grid that a panel covers."""
    return [(column, row) for column in range(x, x + w) for row in range(y, y + h)]


def test_loki_and_grafana_point_at_each_other() -> None:
    sources = load_yaml("deploy/observability/grafana/provisioning/datasources/sources.yml")["datasources"]
    uids = {source["uid"] for source in sources}
    assert {target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel["targets"]} <= uids
    port = load_yaml("deploy/observability/loki/loki.yml")["server"]["http_listen_port"]
    assert f"http://loki:{port}" in {source["url"] for source in sources}
    assert f"http://loki:{port}/loki/api/v1/push" in (FOLDER / "alloy/config.alloy").read_text("utf-8")
