"""What mails say: each template in each language, as text and HTML."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

if TYPE_CHECKING:
    from collections.abc import Mapping

LANGUAGES = ("en", "ru")
DEFAULT_LANGUAGE = "en"


class MailTemplate(StrEnum):
    """A mail, and the values that it needs besides those that every mail has."""

    VERIFICATION = "verification"
    """`token`, `expires_at`"""
    PASSWORD_RESET = "password_reset"  # noqa: S105 - the name of a template
    """`token`, `expires_at`"""
    WELCOME = "welcome"
    """`display_name`, which may be empty"""
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the name of a template
    """`at`"""
    NEW_SIGN_IN = "new_sign_in"
    """`at`, `device`, `address` (of the network)"""
    ADDRESS_CHANGED = "address_changed"
    """`at`; goes to the address of before"""
    ADDRESS_TAKEN = "address_taken"
    """none: somebody tried to register with the address of an account"""


@dataclass(frozen=True, slots=True)
class RenderedMail:
    """A mail without its envelope."""

    language: str
    subject: str
    text: str
    html: str


def _one_line(value: object) -> object:
    """What strangers wrote must not look like lines of ours: no breaks, no control or direction marks."""
    if not isinstance(value, str):
        return value
    printable = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in value)
    return " ".join(printable.split())


def _moment(value: datetime | str) -> str:
    """Show a time: `2026-11-21 15:04 UTC`. A string is one in ISO 8601."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["moment"] = _moment


def render(template: MailTemplate, language: str, values: Mapping[str, object], public_url: str) -> RenderedMail:
    """Render a mail in a language, or in English where there is no translation.

    Raises:
        jinja2.UndefinedError: a value is missing.

    """
    language = language if language in LANGUAGES else DEFAULT_LANGUAGE
    context = {name: _one_line(value) for name, value in values.items()} | {"public_url": public_url.rstrip("/"), "language": language}
    subject, _, text = _environment.get_template(f"{language}/{template}.txt").render(context).partition("\n\n")
    html = _environment.get_template(f"{language}/{template}.html").render(context, subject=subject)
    return RenderedMail(language, subject, text, html)
