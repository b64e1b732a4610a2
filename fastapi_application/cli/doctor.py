"""`doctor`."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from fastapi_application.cli.environment import environment
from fastapi_application.core.config import ConfigurationError
from fastapi_application.core.version import VERSION
from fastapi_application.doctor.examination import examine
from fastapi_application.doctor.findings import Finding, failed, worst_of
from fastapi_application.local.errors import LocalServerError

if TYPE_CHECKING:
    import argparse


def doctor(arguments: argparse.Namespace) -> int:
    """Print what was found; exit 1 if something fails."""
    findings = _findings()
    status = worst_of(findings)
    if arguments.json:
        print(json.dumps({"status": status, "version": VERSION, "checks": [finding.as_dict() for finding in findings]}, indent=1))
    else:
        print("\n".join(finding.line() for finding in findings))
    return int(status == "fail")


def _findings() -> list[Finding]:
    try:
        with environment() as settings:
            return asyncio.run(examine(settings))
    except ConfigurationError as error:
        return [failed("settings", str(error), "the application does not start before this is put right")]
    except LocalServerError as error:
        return [failed("local servers", str(error), "or name servers of your own: DB__*, REDIS__*")]
