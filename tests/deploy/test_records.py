"""docs/adr: numbered, of one shape, short, and naming only tests that exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.deploy.files import ROOT

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = sorted((ROOT / "docs/adr").glob("*.md"))
SECTIONS = ["Context", "Decision", "Consequences", "Alternatives", "Enforced by"]
SHORTEST, LONGEST = 20, 40


def test_no_number_is_used_twice() -> None:
    numbers = [int(record.name[:4]) for record in RECORDS]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_record_has_the_agreed_shape(record: Path) -> None:
    text = record.read_text("utf-8")
    assert text.startswith(f"# {record.name[:4]} ")
    assert re.search(r"^Status: (accepted|superseded by \d{4}), \d{4}$", text, re.MULTILINE)
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert SHORTEST <= len(text.splitlines()) <= LONGEST


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_record_names_tests_that_exist(record: Path) -> None:
    named = re.findall(r"`(tests/[\w/.]+)`", record.read_text("utf-8").partition("## Enforced by")[2])
    assert named
    assert not [path for path in named if not (ROOT / path).exists()]
