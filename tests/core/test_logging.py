"""The log: ours and the libraries' lines through the same processors, as JSON or for people."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from fastapi_application.core.config import LogSettings
from fastapi_application.core.line_buffer import use_line_buffer
from fastapi_application.core.logging_config import configure_logging
from fastapi_application.core.request_id import request_id_var

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Give the rest of the run its logging back."""
    root = logging.getLogger()
    handlers, level, before = root.handlers, root.level, structlog.get_config()
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers = handlers
    root.setLevel(level)
    structlog.configure(**before)
    use_line_buffer(None, "")


def logged(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def speak() -> None:
    """Log a line of ours and one of a library, inside a request."""
    token = request_id_var.set("request-1")
    structlog.get_logger("ours").info("ours", number=1)
    logging.getLogger("library").warning("of %s", "a library")
    request_id_var.reset(token)


def test_all_lines_are_json_with_the_request_id(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "app.log"
    configure_logging(LogSettings(file=path))
    speak()
    ours, library = logged(path)
    assert (ours["event"], ours["number"], ours["level"], ours["logger"]) == ("ours", 1, "info", "ours")
    assert (library["event"], library["level"], library["logger"]) == ("of a library", "warning", "library")
    assert {line["request_id"] for line in (ours, library)} == {"request-1"}
    assert all(line["timestamp"].endswith("Z") for line in (ours, library))


def test_the_level_holds_for_both(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    configure_logging(LogSettings(file=path, level="ERROR"))
    speak()
    logging.getLogger("library").error("heard")
    assert [line["event"] for line in logged(path)] == ["heard"]


def test_lines_for_people_are_no_json(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    configure_logging(LogSettings(file=path, format="human"))
    speak()
    first, second = path.read_text().splitlines()
    assert "ours" in first
    assert "number=1" in first
    assert "of a library" in second
    assert not first.startswith("{")


def test_an_exception_keeps_its_trace_and_a_hostile_text_its_line(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    configure_logging(LogSettings(file=path))
    try:
        int("the reason")
    except ValueError:
        structlog.get_logger("ours").exception("failed", path="\ud800", line="a\nb", numbers={1: 2})
    (line,) = logged(path)
    assert "invalid literal for int() with base 10: 'the reason'" in line["exception"]
    assert "failed" in line["event"]


def test_the_access_lines_and_statements_of_libraries_stay_out(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    configure_logging(LogSettings(file=path, level="DEBUG"))
    logging.getLogger("uvicorn.access").info("GET /?token=secret")
    logging.getLogger("sqlalchemy.engine").info("INSERT … secret")
    logging.getLogger("uvicorn.error").info("started")
    assert [line["event"] for line in logged(path)] == ["started"]


def test_a_rotated_file_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    configure_logging(LogSettings(file=path))
    structlog.get_logger("ours").info("before")
    path.rename(tmp_path / "app.log.1")
    structlog.get_logger("ours").info("after")
    assert [line["event"] for line in logged(path)] == ["after"]
