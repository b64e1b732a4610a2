"""From a change to a mailbox: a real SMTP server, a worker, and everything that may go wrong between them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from fastapi_application.core.config import AppSettings, MailSettings, get_settings
from fastapi_application.crud.action import run_crud_action
from fastapi_application.jobs import outbox
from fastapi_application.jobs import worker as worker_module
from fastapi_application.jobs.registry import JOBS
from fastapi_application.mail import service
from fastapi_application.mail.service import MAIL_JOB, Letter, queue_mail, register_letter_writer
from fastapi_application.mail.templates import MailTemplate
from tests.support.jobs import a_job, leave, row_of, until_done, until_failed, until_given_up, working
from tests.support.smtp import mailbox, parts_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.core.config import Settings
    from tests.support.application import Application
    from tests.support.jobs import Connection
    from tests.support.smtp import Mailbox

MAIL = {MAIL_JOB: JOBS[MAIL_JOB]}
TOKEN = "a-token-that-is-stored-nowhere"


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try a failed job again at once. Only with one job at a time: a claimed job is not locked yet."""
    monkeypatch.setattr(outbox, "FIRST_WAIT_S", 0.0)


@pytest.fixture(autouse=True)
async def only_ours(monkeypatch: pytest.MonkeyPatch, db: Connection) -> AsyncIterator[None]:
    """Look into the outbox often; leave nothing in it, and put the writer of letters back."""
    monkeypatch.setattr(worker_module, "SWEEP_S", 0.05)
    monkeypatch.setattr(service, "_writers", [])
    await db.execute("DELETE FROM outbox_job")
    yield
    await db.execute("DELETE FROM outbox_job")


@pytest.fixture
async def box() -> AsyncIterator[Mailbox]:
    """Return a mailbox that takes everything."""
    async with mailbox() as box:
        yield box


@pytest.fixture
def settings(box: Mailbox) -> Settings:
    """Return settings that lead to it."""
    mail = MailSettings.model_validate({"host": "127.0.0.1", "port": box.port, "tls": "none", "from": "post@frankenjet.example"})
    return get_settings().model_copy(update={"mail": mail})


def write_to(address: str, language: str = "en") -> None:
    """Let every letter go to an address."""

    @register_letter_writer
    async def write(session: AsyncSession, template: MailTemplate, user_id: uuid.UUID, extra: Mapping[str, str]) -> Letter | None:
        assert session.in_transaction()
        assert isinstance(user_id, uuid.UUID)
        if extra.get("wanted") == "no":
            return None
        return Letter(address, language, {"token": TOKEN, "expires_at": "2026-11-22T00:00:00+00:00"} if "token" not in extra else {})


async def queue(application: Application, template: MailTemplate = MailTemplate.VERIFICATION, **extra: str) -> uuid.UUID:
    """Queue a mail in an action of its own."""
    async with application.fastapi.state.session_factory() as session:
        return await run_crud_action(session, queue_mail, session, template, uuid.uuid4(), **extra)


async def test_a_change_brings_one_mail_with_a_token_made_when_it_is_sent(
    application: Application, db: Connection, box: Mailbox, settings: Settings
) -> None:
    write_to("ada@example.org", "ru")
    identifier = await queue(application)
    assert TOKEN not in (await row_of(db, identifier))["payload"]
    async with working(MAIL, MAIL, settings=settings):
        row = await until_done(db, identifier)
    (message,) = box.messages
    assert box.recipients == ["ada@example.org"]
    assert message["Subject"] == "Подтвердите адрес"
    for part in parts_of(message):
        assert f"/verify?token={TOKEN}" in part
    assert message["Message-ID"].startswith(f"<{identifier}@")
    assert (row["attempts"], row["payload"]) == (1, "{}")


async def test_a_change_that_is_rolled_back_brings_none(application: Application, db: Connection, box: Mailbox, settings: Settings) -> None:
    write_to("ada@example.org")

    async def fail(session: AsyncSession) -> None:
        await queue_mail(session, MailTemplate.VERIFICATION, uuid.uuid4())
        raise RuntimeError

    async with application.fastapi.state.session_factory() as session:
        with pytest.raises(RuntimeError):
            await run_crud_action(session, fail, session)
    async with working(MAIL, settings=settings):
        await until_done(db, await queue(application))
    assert len(box.messages) == 1


async def test_a_mail_that_nobody_wants_any_more_is_done_without_one(
    application: Application, db: Connection, box: Mailbox, settings: Settings
) -> None:
    write_to("ada@example.org")
    async with working(MAIL, settings=settings):
        await until_done(db, await queue(application, wanted="no"))
    assert box.messages == []


@pytest.mark.usefixtures("no_wait")
async def test_a_server_that_puts_off_gets_the_same_mail_again(
    application: Application, db: Connection, box: Mailbox, settings: Settings
) -> None:
    write_to("ada@example.org")
    box.answers["DATA"] = "451 later"
    identifier = await queue(application)
    async with working(MAIL, settings=settings, concurrency=1):
        assert (await until_failed(db, identifier))["last_error"] == "put off: SMTP 451"
        box.answers["DATA"] = "250 OK"
        row = await until_done(db, identifier)
    assert row["attempts"] >= 2
    assert [message["Message-ID"] for message in box.messages] == [f"<{identifier}@frankenjet.example>"]


async def test_an_unknown_recipient_is_given_up_and_not_named(
    application: Application, db: Connection, box: Mailbox, settings: Settings
) -> None:
    write_to("ada@example.org")
    box.answers["RCPT"] = "550 5.1.1 ada@example.org is unknown"
    identifier = await queue(application)
    async with working(MAIL, settings=settings, concurrency=1):
        row = await until_given_up(db, identifier)
    assert (row["last_error"], row["attempts"]) == ("refused: SMTP 550", 1)


async def test_without_a_writer_a_mail_waits(application: Application, db: Connection, box: Mailbox, settings: Settings) -> None:
    identifier = await queue(application)
    async with working(MAIL, settings=settings):
        assert (await until_failed(db, identifier))["last_error"] == "nobody writes letters"
    assert box.messages == []


async def test_in_production_without_a_server_mails_wait_untried(application: Application, db: Connection) -> None:
    write_to("ada@example.org")
    identifier = await queue(application)
    production = get_settings().model_copy(update={"app": AppSettings(mode="production"), "mail": MailSettings()})

    async def nothing(*_: object) -> None:
        pass

    async with working(MAIL | a_job("greet", nothing), settings=production):
        await until_done(db, await leave(application, "greet"))
    assert (await row_of(db, identifier))["attempts"] == 0
