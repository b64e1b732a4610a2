"""What must be so, one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx


class BrokenError(Exception):
    """Something is not as it must be, and what follows would make no sense."""


class Report:
    """Prints as it goes, and remembers whether all was well."""

    def __init__(self) -> None:
        """Nothing was wrong so far."""
        self.is_good = True

    def must(self, what: str, *, so: bool, detail: object = "") -> None:
        """Note one thing."""
        self.is_good = self.is_good and so
        print(f"    {'ok  ' if so else 'FAIL'} {what}{'' if so else f': {detail}'}", flush=True)


def body(answer: httpx.Response, status: int = 200) -> Any:
    """Return the JSON of an answer that has the expected status.

    Raises:
        BrokenError: it has another one.

    """
    if answer.status_code != status:
        raise BrokenError(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:500]}")
    return answer.json() if answer.content else None
