"""Messages on the wire and in files, and what refusals mean."""

from __future__ import annotations

import email
import stat
import uuid
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.smtp import AuthResult
from pydantic import SecretStr

from fastapi_application.core.config import AppSettings, ConfigurationError, MailSettings, Settings, get_settings
from fastapi_application.jobs.registry import JobContext, JobError, PermanentJobError
from fastapi_application.mail.messages import compose
from fastapi_application.mail.senders import DirectorySender, SmtpSender, can_send, create_sender
from fastapi_application.mail.templates import MailTemplate, RenderedMail, render
from tests.support.network import door
from tests.support.smtp import mailbox, parts_of

if TYPE_CHECKING:
    from tests.support.smtp import Mailbox

IDENTIFIER = uuid.UUID("0b52f5d2-5d58-4a3e-8e5f-3f0d4f1c2a11")
CREATED = datetime(2026, 11, 21, 15, 4, 5, tzinfo=UTC)
RUSSIAN = render(MailTemplate.ADDRESS_TAKEN, "ru", {}, "https://frankenjet.example")


def mail_settings(**values: Any) -> MailSettings:
    """Return settings of a server without TLS."""
    return MailSettings.model_validate({"host": "127.0.0.1", "tls": "none", "from": "FrankenJet <post@frankenjet.example>", **values})


def message_to(recipient: str, mail: RenderedMail = RUSSIAN) -> EmailMessage:
    """Compose the message of a job."""
    settings = get_settings().model_copy(update={"mail": mail_settings()})
    session: Any = None
    return compose(JobContext(session, settings, IDENTIFIER, 1, CREATED), recipient, mail)


def sender_to(box: Mailbox, **values: Any) -> SmtpSender:
    """Return a sender to the test's server."""
    return SmtpSender(mail_settings(port=box.port, **values))


async def test_a_message_arrives_as_it_was_written() -> None:
    async with mailbox() as box:
        await sender_to(box).send(message_to("ada@example.org"))
    (message,) = box.messages
    assert box.recipients == ["ada@example.org"]
    assert message["Subject"] == RUSSIAN.subject
    assert (str(message["From"]), str(message["To"])) == ("FrankenJet <post@frankenjet.example>", "ada@example.org")
    assert message["Message-ID"] == f"<{IDENTIFIER}@frankenjet.example>"
    assert message["Date"].datetime == CREATED
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "ru"
    text, html = (part.replace("\r\n", "\n").strip() for part in parts_of(message))
    assert (text, html) == (RUSSIAN.text.strip(), RUSSIAN.html.strip())


def test_a_message_is_seven_bits_and_its_subject_encoded() -> None:
    raw = message_to("ada@example.org").as_bytes()
    assert raw.isascii()
    assert b"Subject: =?utf-8?" in raw
    assert max(len(line) for line in raw.splitlines()) <= 998


def test_a_message_is_the_same_in_every_attempt() -> None:
    def without_boundary(message: EmailMessage) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in message.items() if name != "Content-Type"]

    assert without_boundary(message_to("ada@example.org")) == without_boundary(message_to("ada@example.org"))


@pytest.mark.parametrize(
    "recipient",
    [
        "ada@example.org\r\nBcc: everybody@example.org",
        "ada@example.org\nSubject: x",
        "ada@example.org, bob@example.org",
        "Ada <ada@example.org>",
        "ada",
        "",
        "ada@example.org\x00",
    ],
)
def test_what_is_not_one_address_gets_no_mail(recipient: str) -> None:
    with pytest.raises(PermanentJobError):
        message_to(recipient)


def test_a_subject_with_a_line_break_is_refused() -> None:
    with pytest.raises(ValueError, match="linefeed"):
        message_to("ada@example.org", RenderedMail("en", "Hello\r\nBcc: everybody@example.org", "x", "x"))


def test_a_domain_of_other_letters_goes_out_in_ascii() -> None:
    assert str(message_to("ada@пример.рф")["To"]) == "ada@xn--e1afmkfd.xn--p1ai"


async def test_an_address_of_other_letters_arrives_where_the_server_knows_them() -> None:
    async with mailbox(enable_SMTPUTF8=True) as box:
        await sender_to(box).send(message_to("ада@example.org"))
        assert box.recipients == ["ада@example.org"]
    async with mailbox() as box:
        with pytest.raises(PermanentJobError, match="does not support"):
            await sender_to(box).send(message_to("ада@example.org"))


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
async def test_a_refusal_is_final_and_a_delay_is_not(command: str) -> None:
    async with mailbox() as box:
        box.answers[command] = "550 5.1.1 ada@example.org is unknown"
        with pytest.raises(PermanentJobError) as final:
            await sender_to(box).send(message_to("ada@example.org"))
        box.answers[command] = "451 4.7.1 ada@example.org: later"
        with pytest.raises(JobError) as delayed:
            await sender_to(box).send(message_to("ada@example.org"))
    assert str(final.value) == "refused: SMTP 550"
    assert not isinstance(delayed.value, PermanentJobError)
    assert str(delayed.value) == "put off: SMTP 451"
    assert box.messages == []


async def test_a_server_that_is_away_or_wants_another_password_is_tried_again() -> None:
    async with door() as closed:
        with pytest.raises(JobError, match="not reached") as away:
            await SmtpSender(mail_settings(port=closed.port)).send(message_to("ada@example.org"))
    assert not isinstance(away.value, PermanentJobError)
    options: dict[str, Any] = {"authenticator": lambda *_: AuthResult(success=False, handled=False), "auth_require_tls": False}
    async with mailbox(**options) as box:
        with pytest.raises(JobError, match="SMTP 535") as refused:
            await sender_to(box, user="us", password=SecretStr("wrong")).send(message_to("ada@example.org"))
    assert not isinstance(refused.value, PermanentJobError)
    assert "wrong" not in str(refused.value)


async def test_the_password_is_sent_to_log_in() -> None:
    seen: list[Any] = []

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, login: Any) -> AuthResult:
        seen.append((login.login, login.password))
        return AuthResult(success=True)

    async with mailbox(authenticator=authenticate, auth_require_tls=False) as box:
        await sender_to(box, user="us", password=SecretStr("a secret")).send(message_to("ada@example.org"))
    assert seen == [(b"us", b"a secret")]
    assert len(box.messages) == 1


async def test_without_tls_where_it_is_asked_for_nothing_is_sent() -> None:
    async with mailbox() as box:
        with pytest.raises(JobError):
            await sender_to(box, tls="starttls", user="us", password=SecretStr("a secret")).send(message_to("ada@example.org"))
    assert box.messages == []


async def test_a_folder_gets_a_file_for_each_mail_that_only_its_owner_may_read(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "mail"
    for _ in range(2):  # a repetition is the same file
        await DirectorySender(folder).send(message_to("ada@example.org"))
    (file,) = folder.iterdir()
    assert file.name == f"20261121T150405Z-{IDENTIFIER}.eml"
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(folder.stat().st_mode)) == (0o600, 0o700)
    message = email.message_from_bytes(file.read_bytes(), policy=default)
    assert message["Subject"] == RUSSIAN.subject


def test_mails_are_files_in_local_mode_and_wait_in_production(tmp_path: Path) -> None:
    here = get_settings()
    local = here.model_copy(update={"mail": MailSettings(), "local": here.local.model_copy(update={"dir": tmp_path})})
    production = local.model_copy(update={"app": AppSettings(mode="production")})
    assert isinstance(create_sender(local), DirectorySender)
    assert (can_send(local), can_send(production)) == (True, False)
    served = production.model_copy(update={"mail": mail_settings()})
    assert isinstance(create_sender(served), SmtpSender)
    assert can_send(served)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"MAIL__FROM": "nobody"}, "MAIL__FROM: must be an address"),
        ({"MAIL__TLS": "sometimes"}, "MAIL__TLS"),
        ({"APP__MODE": "production", "MAIL__PASSWORD": "a secret", "MAIL__TLS": "none"}, "MAIL__PASSWORD would cross the network in clear"),
        ({"TASKS__BROKER_URL": "kafka://user:a secret@host"}, "TASKS__BROKER_URL: must begin with"),
    ],
)
def test_unusable_settings_are_refused_without_telling_a_value(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], sentence: str
) -> None:
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    with pytest.raises(ConfigurationError, match=sentence) as error:
        get_settings()
    assert "a secret" not in str(error.value)
    monkeypatch.undo()
    get_settings.cache_clear()
