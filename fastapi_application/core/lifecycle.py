"""Whether this process is on its way out: it still answers, but nobody should send it anything new."""

from __future__ import annotations


class _Process:
    is_draining = False


def begin_draining() -> None:
    """Let readiness fail from now on."""
    _Process.is_draining = True


def is_draining() -> bool:
    """Whether the process has been told to stop."""
    return _Process.is_draining
