"""Licences: their ids, names and addresses."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from fastapi_application.encyclopedia.images.licences import RIGHTS_STATEMENTS, Licence, licence_name_and_address

LICENCE: TypeAdapter[str] = TypeAdapter(Licence)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("CC-BY-SA-4.0", "CC-BY-SA-4.0"),
        ("cc-by-sa-4.0", "CC-BY-SA-4.0"),
        (" CC0-1.0 ", "CC0-1.0"),
        ("GFDL-1.3-or-later", "GFDL-1.3-or-later"),
        ("InC", "InC"),
        ("http://rightsstatements.org/vocab/NoC-US/1.0/", "NoC-US"),
        ("https://rightsstatements.org/page/InC/1.0", "InC"),
    ],
)
def test_an_id_is_kept_as_its_list_writes_it(written: str, kept: str) -> None:
    assert LICENCE.validate_python(written) == kept


@pytest.mark.parametrize(
    "text", ["", "free", "inc", "MIT OR Apache-2.0", "LicenseRef-mine", "CC BY", "http://rightsstatements.org/vocab/X/1.0/", "x" * 100, 7]
)
def test_anything_else_is_refused(text: object) -> None:
    with pytest.raises(ValidationError):
        LICENCE.validate_python(text)


@pytest.mark.parametrize(
    ("licence", "name", "address"),
    [
        ("CC-BY-SA-4.0", "CC BY-SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0/"),
        ("CC-BY-NC-ND-3.0-DE", "CC BY-NC-ND 3.0 DE", "https://creativecommons.org/licenses/by-nc-nd/3.0/de/"),
        ("CC0-1.0", "CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("MIT", "MIT", "https://spdx.org/licenses/MIT.html"),
        ("InC", "In Copyright", "http://rightsstatements.org/vocab/InC/1.0/"),
    ],
)
def test_a_licence_has_a_name_and_a_text(licence: str, name: str, address: str) -> None:
    assert licence_name_and_address(licence) == (name, address)


def test_every_statement_can_be_named() -> None:
    assert len(RIGHTS_STATEMENTS) == 12
    assert all(licence_name_and_address(LICENCE.validate_python(name))[0] == text for name, text in RIGHTS_STATEMENTS.items())
