"""Renders deploy/ as `kubectl kustomize` does, for the few of its features that deploy/ uses; others are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from tests.deploy.files import ROOT

if TYPE_CHECKING:
    from pathlib import Path

type Resource = dict[str, Any]
DEPLOY = ROOT / "deploy"
_KNOWN = {"apiVersion", "kind", "namespace", "labels", "resources", "images", "patches"}
_CLUSTER_WIDE = {"Namespace"}


def read_all(path: Path) -> list[Resource]:
    """Read the documents of a file."""
    documents: list[Resource] = list(YAML(typ="safe").load_all(path))
    return documents


def render(folder: Path) -> dict[tuple[str, str], Resource]:
    """Return the resources of a kustomization by kind and name."""
    (kustomization,) = read_all(folder / "kustomization.yaml")
    assert kustomization["kind"] == "Kustomization"
    assert set(kustomization) <= _KNOWN, "the test must learn this feature first"
    found: dict[tuple[str, str], Resource] = {}
    for name in kustomization["resources"]:
        path = (folder / name).resolve()
        added = render(path) if path.is_dir() else {_key(resource): resource for resource in read_all(path)}
        assert not set(added) & set(found), "a resource comes twice"
        found |= added
    for patch in kustomization.get("patches", ()):
        for change in read_all(folder / patch["path"]):
            _merge(found[_key(change)], change)
    for image in kustomization.get("images", ()):
        for container in containers(found):
            if container["image"].partition(":")[0] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
    for resource in found.values():
        if "namespace" in kustomization and resource["kind"] not in _CLUSTER_WIDE:
            resource["metadata"]["namespace"] = kustomization["namespace"]
    return found


def pods(resources: dict[tuple[str, str], Resource]) -> dict[str, Resource]:
    """Return the templates of pods by the name of what makes them."""
    found = {}
    for (kind, name), resource in resources.items():
        spec = resource.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec) if kind == "CronJob" else spec
        if kind in {"Deployment", "Job", "CronJob"}:
            found[name] = spec["template"]
    return found


def containers(resources: dict[tuple[str, str], Resource]) -> list[Resource]:
    """Return all containers."""
    return [container for pod in pods(resources).values() for container in pod["spec"]["containers"]]


def _key(resource: Resource) -> tuple[str, str]:
    return resource["kind"], resource["metadata"]["name"]


def _merge(target: Resource, change: Resource) -> None:
    for key, value in change.items():
        assert not isinstance(value, list), "lists are merged by rules that this does not know"
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value
