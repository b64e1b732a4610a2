"""Ask the database of known vulnerabilities about every locked package.

Exit 0: clean. 1: a finding, or a package that could not be audited. 75: not run, as the database was not reached; that is
not "clean", and a pipeline should show it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from locked import locked, requirement

NOT_RUN = 75
_UNREACHED = ("ConnectionError", "ServiceError", "Max retries exceeded", "NameResolutionError", "Timeout", "HTTPError")
_AUDIT = (sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json")


def main() -> int:
    """Audit, and say how it went."""
    packages = locked(set())
    with tempfile.TemporaryDirectory() as folder:
        requirements, report = Path(folder) / "requirements.txt", Path(folder) / "report.json"
        requirements.write_text("".join(map(requirement, packages)))
        command = [*_AUDIT, f"--requirement={requirements}", f"--output={report}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
        found: list[dict[str, Any]] = json.loads(report.read_text())["dependencies"] if report.is_file() and report.stat().st_size else []
    if (not found and any(sign in done.stderr for sign in _UNREACHED)) or (found and all("skip_reason" in package for package in found)):
        print("audit: NOT RUN: the database of vulnerabilities was not reached. This does not mean that there are none.")
        return NOT_RUN
    problems = _problems(found, {package["name"] for package in packages})
    print("\n".join(problems) or f"audit: {len(found)} packages, no known vulnerability.")
    if problems and not found:
        print(done.stderr[-2000:], file=sys.stderr)
    return int(bool(problems))


def _problems(found: list[dict[str, Any]], expected: set[str]) -> list[str]:
    problems = [f"{name}: is not in the report" for name in sorted(expected - {package["name"] for package in found})]
    for package in found:
        if "skip_reason" in package:
            problems.append(f"{package['name']}: could not be audited: {package['skip_reason']}")
        problems += [
            f"{package['name']} {package['version']}: {item['id']}, fixed in {item['fix_versions']}" for item in package.get("vulns", ())
        ]
    return problems


if __name__ == "__main__":
    sys.exit(main())
