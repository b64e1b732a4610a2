"""Reads what a module logs, whatever the process has configured before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from structlog.testing import LogCapture

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from types import ModuleType

    import pytest
    from structlog.typing import Processor


def captured_lines(monkeypatch: pytest.MonkeyPatch, module: ModuleType, *processors: Processor) -> list[MutableMapping[str, Any]]:
    """Return the list that the lines of the module's logger are added to, after these processors."""
    capture = LogCapture()
    logger = structlog.wrap_logger(
        None,
        processors=[structlog.contextvars.merge_contextvars, *processors, capture],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        cache_logger_on_first_use=False,
    )
    monkeypatch.setattr(module, "_logger", logger)
    return capture.entries
