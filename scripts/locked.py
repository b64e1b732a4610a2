"""Print the locked packages as requirements with hashes:  locked.py [GROUP…]   (all groups when none is named)."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def locked(groups: set[str]) -> list[dict[str, Any]]:
    """Read the packages of these groups from poetry.lock."""
    packages: list[dict[str, Any]] = tomllib.loads((ROOT / "poetry.lock").read_text("utf-8"))["package"]
    return [package for package in packages if not groups or groups & set(package["groups"])]


def requirement(package: dict[str, Any]) -> str:
    """Write one package with its version and the hashes of its files."""
    hashes = "".join(f" \\\n    --hash={file['hash']}" for file in package["files"])
    return f"{package['name']}=={package['version']}{hashes}\n"


if __name__ == "__main__":
    sys.stdout.writelines(requirement(package) for package in locked(set(sys.argv[1:])))
