"""deploy/: valid by Kubernetes' own schemas, locked down, and naming only what is there."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest

from fastapi_application.cli.parser import build_parser
from tests.deploy.files import ROOT, load_yaml, real_settings, run
from tests.ops.kustomize import DEPLOY, containers, pods, render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSIONS = ["1.30", "1.37"]
"""The oldest that these are for, and the newest that there are schemas of."""
FOLDERS = sorted(path.parent for path in DEPLOY.rglob("kustomization.yaml"))
PRODUCTION = render(DEPLOY / "overlays/production")
PODS = pods(PRODUCTION)
APPLICATION = {name: pod for name, pod in PODS.items() if "frankenjet-api" in pod["spec"]["containers"][0]["image"]}
FROM_OUTSIDE = {"frankenjet", "frankenjet-backup", "frankenjet-backup-key", "frankenjet-pgbouncer", "frankenjet-tls"}
"""Secrets, which nobody commits."""
NAME = "app.kubernetes.io/name"


def selected(selector: dict[str, Any]) -> set[str]:
    """Return the pods that a selector selects."""
    wanted = [(NAME, {value}) for value in selector.get("matchLabels", {}).values()]
    wanted += [(rule["key"], set(rule["values"])) for rule in selector.get("matchExpressions", ())]
    return {name for name, pod in PODS.items() if all(pod["metadata"]["labels"][key] in values for key, values in wanted)}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_resource_is_valid(folder: Path, version: str) -> None:
    for resource in render(folder).values():
        kubernetes_validate.validate(resource, version, strict=True)


def test_a_wrong_resource_is_noticed() -> None:
    broken = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {"replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("name", PODS)
def test_pods_are_locked_down(name: str) -> None:
    spec = PODS[name]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    for container in spec["containers"]:
        context = container["securityContext"]
        assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False)
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in spec["volumes"]}


def test_the_user_is_that_of_the_image() -> None:
    user = (ROOT / "Dockerfile").read_text("utf-8").split("USER ")[1].split(":")[0]
    assert {pod["spec"]["securityContext"]["runAsUser"] for pod in APPLICATION.values()} == {int(user)}


def test_what_serves_is_probed_spread_and_kept() -> None:
    for (kind, name), resource in PRODUCTION.items():
        if kind != "Deployment":
            continue
        spec = resource["spec"]["template"]["spec"]
        assert all("livenessProbe" in container for container in spec["containers"])
        assert spec["topologySpreadConstraints"]
        assert selected(resource["spec"]["selector"]) == {name}
        assert selected(PRODUCTION["PodDisruptionBudget", name]["spec"]["selector"]) == {name}
    (api,) = PODS["api"]["spec"]["containers"]
    assert api["readinessProbe"]["httpGet"]["path"] == "/api/v1/health/ready"
    assert api["livenessProbe"]["httpGet"]["path"] == api["startupProbe"]["httpGet"]["path"] == "/api/v1/health/live"


def test_hosts_of_the_probes_are_allowed() -> None:
    (api,) = PODS["api"]["spec"]["containers"]
    allowed = PRODUCTION["ConfigMap", "frankenjet"]["data"]["SERVER__ALLOWED_HOSTS"].split(",")
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert {header["value"] for header in api[probe]["httpGet"]["httpHeaders"]} <= set(allowed)


def test_references_lead_somewhere() -> None:
    autoscaler = PRODUCTION["HorizontalPodAutoscaler", "api"]["spec"]["scaleTargetRef"]
    assert (autoscaler["kind"], autoscaler["name"]) in PRODUCTION
    for (kind, name), resource in PRODUCTION.items():
        if kind == "Service":
            assert selected({"matchLabels": resource["spec"]["selector"]}) == {name}
        if kind == "NetworkPolicy" and resource["spec"]["podSelector"]:
            assert selected(resource["spec"]["podSelector"]), name
    for pod in PODS.values():
        assert ("ServiceAccount", pod["spec"]["serviceAccountName"]) in PRODUCTION
        for source in (entry for container in pod["spec"]["containers"] for entry in container.get("envFrom", ())):
            if "configMapRef" in source:
                assert ("ConfigMap", source["configMapRef"]["name"]) in PRODUCTION
            else:
                assert source["secretRef"]["name"] in FROM_OUTSIDE
        for volume in pod["spec"]["volumes"]:
            assert volume.get("secret", {}).get("secretName", "frankenjet") in FROM_OUTSIDE
            assert ("ConfigMap", volume.get("configMap", {}).get("name", "frankenjet")) in PRODUCTION


def test_everything_is_forbidden_that_is_not_allowed() -> None:
    nothing = PRODUCTION["NetworkPolicy", "nothing"]["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_prometheus_reaches_what_listens_and_nobody_else_does() -> None:
    port = int(PRODUCTION["ConfigMap", "frankenjet"]["data"]["METRICS__PORT"])
    watched = {name for name, pod in PODS.items() if "annotations" in pod["metadata"]}
    assert watched == {"api", "worker"}
    for name in watched:
        assert PODS[name]["metadata"]["annotations"] == {"prometheus.io/scrape": "true", "prometheus.io/port": str(port)}
        (container,) = PODS[name]["spec"]["containers"]
        assert {"name": "metrics", "containerPort": port} in container["ports"]
    allowing = [(name, resource["spec"]) for (kind, name), resource in PRODUCTION.items() if kind == "NetworkPolicy"]
    ports = {name: [port["port"] for rule in spec.get("ingress", ()) for port in rule["ports"]] for name, spec in allowing}
    assert [name for name, named in ports.items() if "metrics" in named] == ["metrics"]
    assert selected(PRODUCTION["NetworkPolicy", "metrics"]["spec"]["podSelector"]) == watched
    services = [resource for (kind, _), resource in PRODUCTION.items() if kind == "Service"]
    assert "metrics" not in {entry["targetPort"] for service in services for entry in service["spec"]["ports"]}


def test_prometheus_in_the_cluster_names_its_jobs_as_the_rules_do() -> None:
    (job,) = load_yaml("deploy/observability/prometheus/kubernetes.yml")["scrape_configs"]
    (discovery,) = job["kubernetes_sd_configs"]
    assert discovery["namespaces"]["names"] == [PRODUCTION["Deployment", "api"]["metadata"]["namespace"]]
    (relabel,) = [rule for rule in job["relabel_configs"] if rule.get("target_label") == "job"]
    assert relabel["source_labels"] == ["__meta_kubernetes_pod_label_app_kubernetes_io_name"]
    named = {relabel["replacement"].replace("$1", PODS[name]["metadata"]["labels"][NAME]) for name in ("api", "worker")}
    compose = load_yaml("deploy/observability/prometheus/prometheus.yml")["scrape_configs"]
    assert named == {job["job_name"] for job in compose}


def test_prometheus_in_the_cluster_keeps_one_target_of_each_pod(tmp_path: Path) -> None:
    """With promtool, whose build may lack Kubernetes' discovery: what that would find comes from a file."""
    if (promtool := shutil.which("promtool")) is None:
        return
    configuration = load_yaml("deploy/observability/prometheus/kubernetes.yml")
    (job,) = configuration["scrape_configs"]
    job["file_sd_configs"] = [{"files": ["pods.json"]}] if job.pop("kubernetes_sd_configs") else []
    (tmp_path / "prometheus.json").write_text(json.dumps(configuration), "utf-8")
    (tmp_path / "pods.json").write_text(json.dumps([target for name in PODS for target in discovered(name)]), "utf-8")
    assert run(promtool, "check", "config", "--syntax-only", tmp_path / "prometheus.json").returncode == 0
    result = run(promtool, "check", "service-discovery", "--timeout=2s", tmp_path / "prometheus.json", "frankenjet")
    found = [target["labels"] for target in json.JSONDecoder().raw_decode(result.stdout.lstrip())[0] if target.get("labels")]
    assert {(labels["job"], labels["instance"], labels["__address__"]) for labels in found} == {
        ("frankenjet-api", "api-x", "api:9100"),
        ("frankenjet-worker", "worker-x", "worker:9100"),
    }


def discovered(name: str) -> Iterator[dict[str, Any]]:
    """Describe a pod as Prometheus' discovery does: a target for each of its ports."""
    pod, about = PODS[name], "__meta_kubernetes_pod"
    for port in (port for container in pod["spec"]["containers"] for port in container.get("ports", ())):
        labels = {f"{about}_name": f"{name}-x", f"{about}_container_port_number": str(port["containerPort"])}
        for group in ("label", "annotation"):
            for key, value in pod["metadata"].get(f"{group}s", {}).items():
                labels[f"{about}_{group}_{re.sub(r'[^a-z_]', '_', key)}"] = value
        yield {"targets": [f"{name}:{port['containerPort']}"], "labels": labels}


def test_no_secret_is_committed() -> None:
    for folder in FOLDERS:
        assert not [key for key in render(folder) if key[0] == "Secret"]
    data = {**PRODUCTION["ConfigMap", "frankenjet"]["data"], **PRODUCTION["ConfigMap", "frankenjet-direct"]["data"]}
    assert not {name for name in data if name.endswith(("PASSWORD", "SECRET", "SECRET_KEY"))}
    assert set(data) <= real_settings()


@pytest.mark.parametrize("name", APPLICATION)
def test_commands_exist(name: str) -> None:
    (container,) = APPLICATION[name]["spec"]["containers"]
    words = container["args"]
    if words[0] == "sh":
        words = words[2].replace('"', "").replace("exec ", "").replace("$BACKUP_BUCKET/$(date -u +%Y-%m-%dT%H%M%SZ)", "bucket").split()
    assert words[:2] == ["python", "main.py"]
    build_parser().parse_args(words[2:])


def test_migrations_and_backups_do_not_pass_through_the_pooler() -> None:
    direct = {
        name
        for name, pod in APPLICATION.items()
        if any(source.get("configMapRef", {}).get("name") == "frankenjet-direct" for source in pod["spec"]["containers"][0]["envFrom"])
    }
    assert direct == {"migrate", "backup"}
    assert PRODUCTION["ConfigMap", "frankenjet"]["data"]["DB__HOST"] == "pgbouncer"


def test_images_have_tags() -> None:
    for folder in DEPLOY.glob("overlays/*"):
        for container in containers(render(folder)):
            assert ":" in container["image"]
            assert not container["image"].endswith(":latest")


# --- digests --------------------------------------------------------------------------------------------------------

DIGEST = "sha256:" + "ab" * 32


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Copy what the script rewrites, and put a docker on the PATH that knows every image."""
    for name in ("Dockerfile", "docker-compose.yaml", ".gitlab-ci.yml", "scripts/pin_images.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text(f'#!/bin/sh\ncase "$4" in *no-such*) exit 1 ;; esac\necho {DIGEST}\n')
    docker.chmod(0o700)
    return tmp_path


def pin(clone: Path, *words: str) -> Any:
    """Run the script of the clone."""
    return run("sh", clone / "scripts/pin_images.sh", *words, env={"PATH": f"{clone}/bin:/usr/bin:/bin"})


def test_images_are_pinned_by_digest(clone: Path) -> None:
    unpinned = pin(clone, "--check")
    assert unpinned.returncode == 1
    assert "postgres:17" in unpinned.stderr
    assert "edoburu/pgbouncer" in unpinned.stderr

    result = pin(clone)
    assert result.returncode == 0, result.stderr
    assert pin(clone, "--check").returncode == 0
    services = load_yaml(str(clone / "docker-compose.yaml"))["services"]
    for service in services.values():
        assert service["image"] == "frankenjet-api" or service["image"].endswith(f"@{DIGEST}")
    froms = [line.split()[1] for line in (clone / "Dockerfile").read_text().splitlines() if line.startswith("FROM")]
    assert all(image.endswith(f"@{DIGEST}") for image in froms)

    before = (clone / "docker-compose.yaml").read_text()
    assert pin(clone).returncode == 0, "again, when an image has moved"
    assert (clone / "docker-compose.yaml").read_text() == before


def test_nothing_is_pinned_when_one_image_is_not_known(clone: Path) -> None:
    compose = clone / "docker-compose.yaml"
    before = compose.read_text().replace("axllent/mailpit:", "axllent/no-such:")
    compose.write_text(before)
    result = pin(clone)
    assert (result.returncode, "no digest of axllent/no-such" in result.stderr) == (1, True)
    assert compose.read_text() == before
