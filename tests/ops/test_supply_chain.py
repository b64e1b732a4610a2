"""What the project is made of: audited, listed, declared, and without secrets."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.deploy.files import ROOT, run, run_python

if TYPE_CHECKING:
    from pathlib import Path

AUDIT = """
import json, os, sys
given = dict(word.split("=", 1) for word in sys.argv if word.startswith(("--requirement=", "--output=")))
names = dict(line.split(" ")[0].split("==") for line in open(given["--requirement"]) if "==" in line)
mode = os.environ["MODE"]
if mode == "offline":
    sys.exit("requests.exceptions.ConnectionError: Max retries exceeded")
if mode == "broken":
    sys.exit("KeyError: a bug")
found = [{"name": name, "version": version, "vulns": []} for name, version in names.items()]
if mode == "unserved":
    found = [{"name": name, "skip_reason": "not found"} for name in names]
if mode == "finding":
    found[0]["vulns"] = [{"id": "PYSEC-1", "fix_versions": ["9"]}]
if mode == "skipped":
    found[0] = {"name": found[0]["name"], "skip_reason": "not found"}
if mode == "missing":
    found = found[1:]
json.dump({"dependencies": found}, open(given["--output"], "w"))
"""


@pytest.mark.parametrize(
    ("mode", "status", "words"),
    [
        ("clean", 0, "no known vulnerability"),
        ("finding", 1, "PYSEC-1"),
        ("skipped", 1, "could not be audited"),
        ("missing", 1, "is not in the report"),
        ("broken", 1, "is not in the report"),
        ("offline", 75, "NOT RUN"),
        ("unserved", 75, "NOT RUN"),
    ],
)
def test_the_audit_is_clean_only_when_all_was_audited(mode: str, status: int, words: str, tmp_path: Path) -> None:
    (tmp_path / "pip_audit.py").write_text(AUDIT)
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "MODE": mode}
    result = run(sys.executable, "scripts/audit.py", env=env)
    assert (result.returncode, words in result.stdout) == (status, True), result.stdout + result.stderr
    assert ("no known" in result.stdout) == (mode == "clean")


def test_production_is_locked_with_hashes_and_without_tools() -> None:
    production, everything = (run_python("scripts/locked.py", *groups).stdout for groups in (["main"], []))
    assert set(production.split()) < set(everything.split())
    for name in ("fastapi==", "sqlalchemy=="):
        assert re.search(rf"^{name}\S+ \\\n    --hash=sha256:", production, re.MULTILINE)
    assert "\npytest==" not in production
    assert "\npytest==" in everything


def search(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Look for secrets in another clone."""
    (folder / "scripts").mkdir(exist_ok=True)
    shutil.copy(ROOT / "scripts/find_secrets.py", folder / "scripts")
    return run(sys.executable, folder / "scripts/find_secrets.py", *words)


def git(folder: Path, *words: str) -> None:
    """Run git as somebody."""
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", folder, *who, *words], check=True, capture_output=True)  # noqa: S607 - whichever git there is


def test_a_secret_is_found_now_and_in_history_and_is_not_shown(tmp_path: Path) -> None:
    git(tmp_path, "init")
    # Put together here, or this file would be a finding itself.
    key = "AKIA" + "QZ7WK3XN5TJ2RM4B"
    (tmp_path / "settings.py").write_text(f'KEY = "{key}"\n')
    now = search(tmp_path)
    assert (now.returncode, key in now.stdout) == (1, False)
    assert now.stdout.startswith("settings.py:1: AWS Access Key")

    git(tmp_path, "add", "settings.py")
    git(tmp_path, "commit", "-m", "a mistake")
    git(tmp_path, "rm", "settings.py")
    git(tmp_path, "commit", "-m", "a correction")
    assert (search(tmp_path).returncode, search(tmp_path, "--history").returncode) == (0, 1)


def test_the_bill_of_materials_is_one_of_cyclonedx(tmp_path: Path) -> None:
    result = run("sh", "scripts/sbom.sh", tmp_path / "sbom.json")
    assert result.returncode == 0, result.stderr
    bill: dict[str, Any] = json.loads((tmp_path / "sbom.json").read_bytes())
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "frankenjet-api")
    components = {component["name"]: component for component in bill["components"]}
    assert {"fastapi", "sqlalchemy", "cryptography"} <= set(components)
    assert "pytest" not in components
    assert components["fastapi"]["purl"].startswith("pkg:pypi/fastapi@")


@pytest.mark.parametrize("document", ["docs/security.md", "docs/backup.md", "docs/migrations.md", "docs/runbook.md"])
def test_documents_name_tests_and_files_that_exist(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    named = set(re.findall(r"`((?:tests|scripts|deploy|docs|alembic)/[\w/.-]+)`", text)) | set(re.findall(r"\]\(([\w/.-]+\.md)\)", text))
    assert named
    assert not [path for path in sorted(named) if not ((ROOT / path).exists() or (ROOT / "docs" / path).exists())]
    commands = set(re.findall(r"`make ([a-z-]+)", text))
    assert commands <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
