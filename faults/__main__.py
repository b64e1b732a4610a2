"""Runs the scenarios and prints what they found."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from faults import overload  # noqa: F401 - registers its scenario
from faults.report import Finding, table
from faults.scenarios import SCENARIOS
from faults.system import FaultsError, System


async def _run(system: System, name: str, *, full: bool) -> Finding:
    began = time.monotonic()
    print(f"\n{name}: {(SCENARIOS[name].__doc__ or '').splitlines()[0]}", flush=True)
    try:
        await system.ready_service()
        finding = await SCENARIOS[name](system, full)
    except (FaultsError, OSError) as error:
        finding = Finding(name)
        finding.must(f"run to its end ({error})", so=False)
        system.thaw()
        system.open_networks()
    for line in (*(bound.text() for bound in finding.bounds), *finding.notes):
        print(f"    {line}", flush=True)
    print(f"    ({time.monotonic() - began:.0f} s)", flush=True)
    return finding


def main() -> int:
    """Run what is asked for; 1 if a bound was broken."""
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--full", action="store_true", help="each fault for as long as the bounds speak of")
    parser.add_argument("--only", action="append", choices=sorted(SCENARIOS), help="this scenario; may be repeated")
    parser.add_argument("--workers", type=int, default=2, help="processes that serve (default: 2)")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="frankenjet-faults-", ignore_cleanup_errors=True) as directory,
        System(Path(directory) / "system", workers=arguments.workers) as system,
    ):
        findings = [uvloop.run(_run(system, name, full=arguments.full)) for name in (arguments.only or SCENARIOS)]
    print(f"\n{table(findings)}")
    return 0 if all(finding.is_good for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
