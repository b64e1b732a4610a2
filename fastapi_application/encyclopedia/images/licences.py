"""Licences by their SPDX id, and the statements of rightsstatements.org."""

from __future__ import annotations

import re
from typing import Annotated

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from pydantic import BeforeValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

RIGHTS_STATEMENTS = {
    "InC": "In Copyright",
    "InC-OW-EU": "In Copyright – EU Orphan Work",
    "InC-EDU": "In Copyright – Educational Use Permitted",
    "InC-NC": "In Copyright – Non-Commercial Use Permitted",
    "InC-RUU": "In Copyright – Rights-holder(s) Unlocatable or Unidentifiable",
    "NoC-CR": "No Copyright – Contractual Restrictions",
    "NoC-NC": "No Copyright – Non-Commercial Use Only",
    "NoC-OKLR": "No Copyright – Other Known Legal Restrictions",
    "NoC-US": "No Copyright – United States",
    "CNE": "Copyright Not Evaluated",
    "UND": "Copyright Undetermined",
    "NKC": "No Known Copyright",
}
_STATEMENT_ADDRESS = re.compile(r"https?://rightsstatements\.org/(?:vocab|page)/([A-Za-z-]+)/1\.0/?")
_SPDX = re.compile(r"[A-Za-z0-9.+-]{1,60}")
_CREATIVE_COMMONS = re.compile(r"CC-(BY(?:-NC)?(?:-ND|-SA)?)-(\d\.\d)((?:-[A-Z]{2,3})?)")
_PUBLIC_DOMAIN = {
    "CC0-1.0": ("CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
    "CC-PDM-1.0": ("Public Domain Mark 1.0", "https://creativecommons.org/publicdomain/mark/1.0/"),
    "CC-PDDC": ("Public domain (CC Public Domain Dedication)", "https://creativecommons.org/licenses/publicdomain/"),
}


def parse_licence(value: object) -> object:
    """Return the id of a licence as SPDX or rightsstatements.org write it."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    address = _STATEMENT_ADDRESS.fullmatch(text)
    name = address.group(1) if address else text
    if name in RIGHTS_STATEMENTS:
        return name
    known = _spdx(name) if address is None else None
    if known is None:
        code = "unknown_licence"
        raise PydanticCustomError(code, "Expected an SPDX id such as CC-BY-SA-4.0, or an id of rightsstatements.org such as InC.")
    return known


def _spdx(name: str) -> str | None:
    """A single id: no expression, no reference to a text of one's own."""
    if not _SPDX.fullmatch(name) or name.lower().startswith("licenseref-"):
        return None
    try:
        return canonicalize_license_expression(name)
    except InvalidLicenseExpression:
        return None


def licence_name_and_address(licence: str) -> tuple[str, str]:
    """Return what a reader calls a licence, and where its text is."""
    if licence in RIGHTS_STATEMENTS:
        return RIGHTS_STATEMENTS[licence], f"http://rightsstatements.org/vocab/{licence}/1.0/"
    if licence in _PUBLIC_DOMAIN:
        return _PUBLIC_DOMAIN[licence]
    if match := _CREATIVE_COMMONS.fullmatch(licence):
        terms, version, port = match.groups()
        address = f"https://creativecommons.org/licenses/{terms.lower()}/{version}/{port[1:].lower()}"
        return f"CC {terms} {version}{port.replace('-', ' ')}", address if address.endswith("/") else f"{address}/"
    return licence, f"https://spdx.org/licenses/{licence}.html"


Licence = Annotated[
    str,
    BeforeValidator(parse_licence),
    StringConstraints(min_length=1, max_length=60),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 60,
            "description": "SPDX id, or id of rightsstatements.org",
            "examples": ["CC-BY-SA-4.0", "CC0-1.0", "InC"],
        }
    ),
]
