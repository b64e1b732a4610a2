"""What a check has found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

type Status = Literal["pass", "warn", "fail"]
_WORST: tuple[Status, ...] = ("fail", "warn", "pass")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: how it is, and what to do if it is not well. Never holds a secret."""

    name: str
    status: Status
    detail: str
    advice: str = ""

    def line(self) -> str:
        """Write it for a person."""
        advice = f"\n      → {self.advice}" if self.advice else ""
        return f"{self.status.upper():4}  {self.name}: {self.detail}{advice}"

    def as_dict(self) -> dict[str, Any]:
        """Write it for a program."""
        return asdict(self)


def passed(name: str, detail: str) -> Finding:
    """All is well."""
    return Finding(name, "pass", detail)


def warned(name: str, detail: str, advice: str) -> Finding:
    """It works, and should not stay so."""
    return Finding(name, "warn", detail, advice)


def failed(name: str, detail: str, advice: str) -> Finding:
    """It does not work, or is not safe."""
    return Finding(name, "fail", detail, advice)


def worst_of(findings: list[Finding]) -> Status:
    """Return the status of the whole."""
    found = {finding.status for finding in findings}
    return next((status for status in _WORST if status in found), "pass")
