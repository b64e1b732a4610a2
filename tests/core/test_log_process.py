"""Logging as a process configures it: run in processes of their own, since it is global."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import logging, sys, warnings
import structlog
from fastapi_application.core.config import LogSettings
from fastapi_application.core.logging_config import configure_logging
from fastapi_application.core.request_id import request_id_var

configure_logging(LogSettings.model_validate_json(sys.argv[1]))
ours, theirs = structlog.get_logger("ours"), logging.getLogger("theirs")
request_id_var.set("id-1")
ours.debug("ours debug")
theirs.debug("theirs debug")
ours.info("ours info", number=1, text="é", path=sys)
theirs.info("theirs %s", "info")
ours.warning("surrogate", value="\\ud800", more={"\\ud800": b"\\xff"})
theirs.warning("theirs \\ud800")
try:
    secret_local = "a secret in a local variable"
    raise ValueError("an error")
except ValueError:
    ours.exception("ours failed")
    theirs.exception("theirs failed")
request_id_var.set("")
ours.error("no request")
logging.getLogger("uvicorn.access").info("GET /?token=secret")
logging.getLogger("sqlalchemy.engine.Engine").info("SELECT 'secret'")
logging.getLogger("uvicorn.error").info("from uvicorn")
"""


def logged(tmp_path: Path, *, to_file: bool = False, **settings: Any) -> str:
    """Run the script with these settings and return what it has logged."""
    file = tmp_path / "deep" / "application.log"
    options = {**settings, **({"file": str(file)} if to_file else {})}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, json.dumps(options)],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=True,
        timeout=60,
    )
    assert result.stdout == ""
    if to_file:
        assert result.stderr == ""
        return file.read_text("utf-8", "backslashreplace")
    return result.stderr


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return the JSON lines of the script at the level DEBUG."""
    return [json.loads(line) for line in logged(tmp_path_factory.mktemp("log"), level="DEBUG").splitlines()]


def line_of(lines: list[dict[str, Any]], event: str) -> dict[str, Any]:
    """Return the one line of an event."""
    (line,) = [line for line in lines if line["event"].startswith(event)]
    return line


def test_each_line_is_one_json_object_with_the_same_members(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        assert {"event", "level", "logger", "timestamp"} <= set(line)
        assert line["timestamp"].endswith("Z")
    ours, theirs = line_of(lines, "ours info"), line_of(lines, "theirs info")
    assert (ours["logger"], ours["level"], ours["number"], ours["text"]) == ("ours", "info", 1, "é")
    assert (theirs["logger"], theirs["level"]) == ("theirs", "info")


def test_lines_of_a_request_have_its_id_and_others_have_none(lines: list[dict[str, Any]]) -> None:
    for event in ("ours debug", "theirs debug", "ours info", "theirs info", "ours failed", "theirs failed"):
        assert line_of(lines, event)["request_id"] == "id-1"
    assert "request_id" not in line_of(lines, "no request")


def test_a_traceback_is_one_member_and_without_local_variables(lines: list[dict[str, Any]]) -> None:
    for event in ("ours failed", "theirs failed"):
        assert "ValueError: an error" in line_of(lines, event)["exception"]
    assert not any("a secret in a local variable" in repr(line) for line in lines)


def test_no_line_is_lost_for_a_lone_surrogate(lines: list[dict[str, Any]]) -> None:
    hostile = [line for line in lines if line["event"] in {"surrogate", "theirs ?"}]
    assert [(line["logger"], line["level"], line["request_id"]) for line in hostile] == [
        ("ours", "warning", "id-1"),
        ("theirs", "warning", "id-1"),
    ]


def test_lines_that_would_hold_secrets_are_quiet(lines: list[dict[str, Any]]) -> None:
    assert line_of(lines, "from uvicorn")["logger"] == "uvicorn.error"
    assert not any("secret" in line["event"] for line in lines)


def test_the_level_holds_for_ours_and_theirs(tmp_path: Path) -> None:
    events = [json.loads(line)["event"] for line in logged(tmp_path, level="WARNING").splitlines()]
    assert "ours failed" in events
    assert "theirs failed" in events
    assert not [event for event in events if "info" in event or "debug" in event]


def test_a_file_takes_everything(tmp_path: Path) -> None:
    events = [json.loads(line)["event"] for line in logged(tmp_path, to_file=True).splitlines()]
    assert {"ours info", "theirs info", "no request"} <= set(events)


@pytest.mark.parametrize("to_file", [False, True])
def test_the_human_form_is_text_without_colours_and_local_variables(tmp_path: Path, *, to_file: bool) -> None:
    text = logged(tmp_path, to_file=to_file, format="human")
    assert "ours info" in text
    assert "theirs info" in text
    assert "id-1" in text
    assert "ValueError: an error" in text
    assert "a secret in a local variable" not in text.replace('secret_local = "a secret in a local variable"', "")
    assert "\x1b[" not in text
    assert "from uvicorn" in text
    assert "theirs \\ud800" in text
    assert not any(line.startswith("{") for line in text.splitlines())
