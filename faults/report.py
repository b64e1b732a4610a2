"""What a scenario found, as a table."""

from __future__ import annotations

from dataclasses import dataclass, field

from faults.client import Tally, percentile


@dataclass(frozen=True, slots=True)
class Bound:
    """A measured value and what it must not exceed, or fall below."""

    what: str
    value: float
    limit: float
    unit: str = ""
    at_least: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether it is within its limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def text(self) -> str:
        """One line."""
        sign = "≥" if self.at_least else "≤"
        return f"{'ok  ' if self.is_kept else 'FAIL'} {self.what}: {self.value:.4g}{self.unit} ({sign} {self.limit:g}{self.unit})"


@dataclass(slots=True)
class Finding:
    """The outcome of one scenario."""

    name: str
    bounds: list[Bound] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: int = 0
    lost: int = 0
    p99_s: float = 0.0
    recovery_s: float = 0.0

    def at_most(self, what: str, value: float, limit: float, unit: str = "") -> None:
        """Add an upper bound."""
        self.bounds.append(Bound(what, value, limit, unit))

    def at_least(self, what: str, value: float, limit: float, unit: str = "") -> None:
        """Add a lower bound."""
        self.bounds.append(Bound(what, value, limit, unit, at_least=True))

    def must(self, what: str, *, so: bool) -> None:
        """Add something that must be so."""
        self.at_least(what, float(so), 1)

    def saw(self, tally: Tally) -> None:
        """Note what clients met."""
        self.errors += len(tally.bad())
        self.p99_s = max(self.p99_s, percentile(tally.good(), 99))
        self.notes.append("answers by status: " + ", ".join(f"{status}: {count}" for status, count in tally.statuses().items()))

    @property
    def is_good(self) -> bool:
        """Whether every bound is kept."""
        return all(bound.is_kept for bound in self.bounds)


def table(findings: list[Finding]) -> str:
    """Lay the findings out."""
    lines = [f"{'fault':34} {'result':7} {'errors':>7} {'lost':>5} {'p99 of good':>12} {'recovery':>9}"]
    for item in findings:
        result = "ok" if item.is_good else "BROKEN"
        lines.append(f"{item.name:34} {result:7} {item.errors:7} {item.lost:5} {item.p99_s * 1000:9.0f} ms {item.recovery_s:7.1f} s")
    return "\n".join(lines)
