"""What mails say: in both languages, with every value, and without anything that a stranger could slip in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from fastapi_application.mail import templates
from fastapi_application.mail.templates import LANGUAGES, MailTemplate, render

URL = "https://frankenjet.example"
HOSTILE = "<b>&\"'</b>"
ESCAPED = "&lt;b&gt;&amp;&#34;&#39;&lt;/b&gt;"
MOMENT = "2026-11-21T15:04:05+03:00"
SHOWN = "2026-11-21 12:04 UTC"
VALUES: dict[MailTemplate, dict[str, str]] = {
    MailTemplate.VERIFICATION: {"token": HOSTILE, "expires_at": MOMENT},
    MailTemplate.PASSWORD_RESET: {"token": HOSTILE, "expires_at": MOMENT},
    MailTemplate.WELCOME: {"display_name": HOSTILE},
    MailTemplate.PASSWORD_CHANGED: {"at": MOMENT},
    MailTemplate.NEW_SIGN_IN: {"at": MOMENT, "device": HOSTILE, "address": HOSTILE},
    MailTemplate.ADDRESS_CHANGED: {"at": MOMENT},
    MailTemplate.ADDRESS_TAKEN: {},
}
EVERY = pytest.mark.parametrize("template", MailTemplate)
IN_EVERY_LANGUAGE = pytest.mark.parametrize("language", LANGUAGES)


@EVERY
@IN_EVERY_LANGUAGE
def test_every_value_is_shown_and_escaped_in_html(template: MailTemplate, language: str) -> None:
    values = VALUES[template]
    mail = render(template, language, values, URL)
    assert HOSTILE not in mail.html
    assert mail.html.count(ESCAPED) == list(values.values()).count(HOSTILE)
    assert mail.text.count(HOSTILE) == list(values.values()).count(HOSTILE)
    for part in (mail.text, mail.html):
        assert part.count(SHOWN) == list(values.values()).count(MOMENT)
        assert URL in part
        assert "{{" not in part
        assert "{%" not in part


@EVERY
@IN_EVERY_LANGUAGE
def test_subject_is_one_short_line_of_the_language(template: MailTemplate, language: str) -> None:
    mail = render(template, language, VALUES[template], URL)
    assert re.fullmatch(r"[^\n]{5,60}", mail.subject)
    assert bool(re.search("[а-я]", mail.subject + mail.text)) == (language == "ru")
    assert f'<html lang="{language}">' in mail.html
    assert f"<title>{mail.subject}</title>" in mail.html
    assert not mail.text.startswith("\n")


@EVERY
def test_a_missing_value_is_an_error_and_not_a_gap(template: MailTemplate) -> None:
    for name in VALUES[template]:
        with pytest.raises(UndefinedError, match=name):
            render(template, "en", {key: value for key, value in VALUES[template].items() if key != name}, URL)


@pytest.mark.parametrize(
    ("template", "link", "route"),
    [
        (MailTemplate.VERIFICATION, "/verify?token=a.b-c_d%2F%2B", "/api/v1/auth/verify"),
        (MailTemplate.PASSWORD_RESET, "/reset-password?token=a.b-c_d/%2B", "/api/v1/auth/reset-password"),
    ],
)
@IN_EVERY_LANGUAGE
def test_a_token_is_a_link_and_a_call(template: MailTemplate, language: str, link: str, route: str) -> None:
    mail = render(template, language, {"token": "a.b-c_d/+", "expires_at": MOMENT}, f"{URL}/")
    for part in (mail.text, mail.html):
        assert URL + link.replace("%2F", "/") in part
        assert URL + route in part
    assert '"token": "a.b-c_d/+"' in mail.text


def test_an_unknown_language_is_english() -> None:
    assert render(MailTemplate.ADDRESS_TAKEN, "xx", {}, URL).language == "en"


def test_what_a_stranger_sends_stays_in_its_line() -> None:
    device = "Firefox\r\n\r\nYour account is locked:\u2028https://evil.example \u202emoc\x00"
    mail = render(MailTemplate.NEW_SIGN_IN, "en", {"at": MOMENT, "device": device, "address": "a" * 20}, URL)
    (line,) = [line for line in mail.text.splitlines() if "evil" in line]
    assert line == "Device: Firefox Your account is locked: https://evil.example moc"
    long = render(MailTemplate.NEW_SIGN_IN, "en", {"at": MOMENT, "device": "x" * 5000, "address": "y"}, URL)
    assert max(len(line) for line in long.text.splitlines()) < 200


def test_values_cannot_replace_our_own_address() -> None:
    mail = render(MailTemplate.WELCOME, "en", {"display_name": "", "public_url": "https://evil.example", "language": "xx"}, URL)
    assert "evil" not in mail.text + mail.html


def test_every_template_has_its_files_and_every_file_its_template() -> None:
    folder = Path(templates.__file__).parent / "templates"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}
    wanted = {f"{language}/{template}.{kind}" for language in LANGUAGES for template in MailTemplate for kind in ("txt", "html")}
    assert names == wanted | {"layout.html"}
