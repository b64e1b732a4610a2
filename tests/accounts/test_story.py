"""The whole story over HTTP, with a real server, a real worker and a real SMTP server; and what it leaves behind."""

from __future__ import annotations

import re
import subprocess
import time
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import TYPE_CHECKING

import pytest
from aiosmtpd.controller import Controller

from tests.accounts.conftest import text_of
from tests.accounts.requests import ANOTHER_PASSWORD, AUTH, ME, bearer
from tests.support.application import PASSWORD, body
from tests.support.commands import COMMAND, Service, free_port, settings_of_this_run
from tests.support.seeded import connection_to
from tests.support.servers import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

THIRD_PASSWORD = "the third of three long passwords"
PATIENCE_S = 60
TEXTS = """
    SELECT format('SELECT count(*) FROM %I t WHERE t::text LIKE ANY($1)', relname) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"""


class Inbox:
    """Takes what an SMTP server gets."""

    def __init__(self) -> None:
        """Be empty."""
        self.messages: list[EmailMessage] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: object) -> str:  # noqa: N802 - aiosmtpd's name
        """Accept a message."""
        content = getattr(envelope, "content", b"")
        message = message_from_bytes(content, policy=default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        return "250 OK"


@contextmanager
def smtp_server(inbox: Inbox) -> Iterator[int]:
    """Run an SMTP server on a free port."""
    port = free_port()
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield port
    controller.stop()


def until_mail(inbox: Inbox, count: int) -> list[EmailMessage]:
    """Wait for so many mails."""
    deadline = time.monotonic() + PATIENCE_S
    while len(inbox.messages) < count:
        assert time.monotonic() < deadline, f"{len(inbox.messages)} mails of {count}"
        time.sleep(0.05)
    return inbox.messages


def link_in(messages: list[EmailMessage], path: str) -> str:
    """Return the token of the last link to this path."""
    found = [match[1] for message in messages if (match := re.search(rf"/{path}\?token=([\w.-]+)", text_of(message)))]
    return found[-1]


@contextmanager
def worker_process(environment: dict[str, str], log: Path) -> Iterator[None]:
    """Run the real worker."""
    with log.open("wb") as file, subprocess.Popen([*COMMAND, "worker"], env=environment, stdout=file, stderr=file) as process:
        yield
        process.terminate()
        assert process.wait(PATIENCE_S) == 0


def test_the_whole_story(database: str, tmp_path: Path, address: str) -> None:
    run(forget_mails(database))
    inbox = Inbox()
    with smtp_server(inbox) as port:
        settings = {**settings_of_this_run(), "MAIL__HOST": "127.0.0.1", "MAIL__PORT": str(port), "LOG__LEVEL": "DEBUG"}
        secrets = {"ACCESS_TOKEN__RESET_PASSWORD_TOKEN_SECRET": "r" * 40, "ACCESS_TOKEN__VERIFICATION_TOKEN_SECRET": "v" * 40}
        service = Service(tmp_path / ".local", command="serve", **settings, **secrets)
        try:
            service.start("--workers", "2")
            with worker_process(service.environment, tmp_path / "worker.log"), service.client() as client:
                in_clear = tell_the_story(client, inbox, address)
        finally:
            service.close()
    logs = "".join(path.read_text() for path in (service.output, service.errors, tmp_path / "worker.log"))
    assert "mail_sent" in logs
    assert [secret for secret in in_clear if secret in logs] == []
    assert address not in logs
    run(nothing_in_clear(database, in_clear))


def tell_the_story(client: httpx.Client, inbox: Inbox, address: str) -> list[str]:
    """Register, verify, sign in, change, forget, reset; return all secrets of it."""
    body(client.post(f"{AUTH}/register", json={"email": address, "password": PASSWORD}), 202)
    verify = link_in(until_mail(inbox, 1), "verify")
    assert client.post(f"{AUTH}/verify", json={"token": verify}).status_code == 204
    until_mail(inbox, 2)
    first = body(client.post(f"{AUTH}/login", data={"username": address, "password": PASSWORD}))
    second = body(client.post(f"{AUTH}/refresh", json={"refresh_token": first["refresh_token"]}))
    sessions = body(client.get(f"{AUTH}/sessions", headers=bearer(second["access_token"])))["items"]
    assert [session["current"] for session in sessions] == [True]
    change = {"password": ANOTHER_PASSWORD, "current_password": PASSWORD}
    body(client.patch(ME, json=change, headers=bearer(second["access_token"])))
    for token in (first["access_token"], second["access_token"]):
        for _ in range(4):  # whichever worker answers
            assert client.get(ME, headers=bearer(token)).status_code == 401
    assert client.post(f"{AUTH}/refresh", json={"refresh_token": second["refresh_token"]}).status_code == 401
    until_mail(inbox, 3)
    body(client.post(f"{AUTH}/forgot-password", json={"email": address}), 202)
    reset = link_in(until_mail(inbox, 4), "reset-password")
    assert client.post(f"{AUTH}/reset-password", json={"token": reset, "password": THIRD_PASSWORD}).status_code == 204
    third = body(client.post(f"{AUTH}/login", data={"username": address, "password": THIRD_PASSWORD}))
    assert body(client.get(ME, headers=bearer(third["access_token"])))["is_verified"] is True
    until_mail(inbox, 5)
    assert {message["To"] for message in inbox.messages} == {address}
    assert len({message["Message-ID"] for message in inbox.messages}) == len(inbox.messages) == 5
    issued = [answer[name] for answer in (first, second, third) for name in ("access_token", "refresh_token")]
    return [*issued, verify, reset, PASSWORD, ANOTHER_PASSWORD, THIRD_PASSWORD]


async def forget_mails(database: str) -> None:
    """Send none of the mails that other tests have left."""
    async with connection_to(database) as db:
        await db.execute("DELETE FROM outbox_job WHERE name LIKE 'mail%'")


async def nothing_in_clear(database: str, secrets: list[str]) -> None:
    """Check that no table has a secret of the story in it."""
    patterns = [f"%{secret}%" for secret in secrets]
    async with connection_to(database) as db:
        statements = [row[0] for row in await db.fetch(TEXTS)]
        assert len(statements) > 20
        counts = {statement: await db.fetchval(statement, patterns) for statement in statements}
    assert [statement for statement, count in counts.items() if count] == []


def test_the_search_for_secrets_finds_them(database: str) -> None:
    async def leak() -> None:
        async with connection_to(database) as db:
            await db.execute("INSERT INTO login_failure (key, failures, last_at) VALUES ('in clear: tell-tale', 1, now())")
            try:
                with pytest.raises(AssertionError):
                    await nothing_in_clear(database, ["tell-tale"])
            finally:
                await db.execute("DELETE FROM login_failure WHERE key LIKE 'in clear%'")

    run(leak())
