"""The commands one by one: usage, exit statuses, and one clear sentence for whatever is wrong."""

from __future__ import annotations

import json
import re
import socket
from typing import TYPE_CHECKING

import pytest

from fastapi_application.cli.parser import build_parser
from fastapi_application.cli.run import run
from fastapi_application.create_fastapi_app import create_fastapi_app
from fastapi_application.local import remove_local
from tests.support.commands import Service, assert_fails_in_one_sentence, command_environment, run_command, settings_of_this_run
from tests.support.servers import create_database

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = ["serve", "local", "migrate", "seed", "backup", "restore", "doctor", "openapi", "create-user", "new-entity"]
SECRETS = {
    "ACCESS_TOKEN__RESET_PASSWORD_TOKEN_SECRET": "e1f0a53c97b24d68be1f0a53c97b24d6",
    "ACCESS_TOKEN__VERIFICATION_TOKEN_SECRET": "97b24d68be1f0a53c97b24d6e1f0a53c",
}
NOWHERE = {"DB__HOST": "127.0.0.1", "DB__PORT": "1", "REDIS__URL": "redis://127.0.0.1:1"}
USER = ("create-user", "--email", "a@example.org", "--role", "reader", "--password", "correct horse battery staple")


# --- usage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run([command, "--help"])
    assert end.value.code == 0
    assert f"usage: main.py {command}" in capsys.readouterr().out


def test_the_help_lists_every_command(directory: Path) -> None:
    result = run_command("--help", env=command_environment(directory))
    assert (result.returncode, result.stderr) == (0, "")
    for command in COMMANDS:
        assert re.search(rf"^    {command}\s", result.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    "words",
    [
        ["no-such-command"],
        ["serve", "--no-such-option"],
        ["serve", "--port", "70000"],
        ["serve", "--port", "http"],
        ["local", "--workers", "0"],
        ["migrate", "--revision"],
        ["create-user", "--email", "a@example.org", "--role", "king", "--password", "x"],
        ["create-user", "--email", "a@example.org", "--role", "reader"],
        ["create-user", "--email", "a@example.org", "--role", "reader", "--password", "x", "--password-stdin"],
    ],
)
def test_wrong_usage_is_exit_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(words)
    assert end.value.code == 2
    assert "usage: main.py" in capsys.readouterr().err


def test_an_unknown_command_is_exit_2_of_the_process(directory: Path) -> None:
    result = run_command("no-such-command", env=command_environment(directory))
    assert (result.returncode, result.stdout) == (2, "")
    assert "no-such-command" in result.stderr


def test_port_and_workers_come_from_the_environment_and_the_host_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PORT": "8123", "WORKERS": "3", "HOST": "name-of-the-machine"}.items():
        monkeypatch.setenv(name, value)
    arguments = build_parser().parse_args(["local"])
    assert (arguments.host, arguments.port, arguments.workers) == (None, 8123, 3)
    assert build_parser().parse_args(["local", "--port", "9000"]).port == 9000


# --- openapi --------------------------------------------------------------------------------------------------------


def test_the_openapi_document_is_written_without_any_server(directory: Path) -> None:
    file = directory.with_name("openapi.json")
    result = run_command("openapi", "--output", str(file), env=command_environment(directory))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert json.loads(file.read_bytes()) == json.loads(json.dumps(create_fastapi_app().openapi()))
    assert not directory.exists()


def test_a_file_that_cannot_be_written_is_one_sentence(directory: Path) -> None:
    result = run_command("openapi", "--output", str(directory / "missing/openapi.json"), env=command_environment(directory))
    assert_fails_in_one_sentence(result, "No such file or directory", "missing/openapi.json")


# --- what is wrong with the settings --------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("serve",), ("migrate",)])
def test_production_refuses_to_start_without_secrets_and_names_them(directory: Path, command: tuple[str, ...]) -> None:
    result = run_command(*command, env=command_environment(directory, APP__MODE="production", **NOWHERE))
    assert_fails_in_one_sentence(result, *SECRETS)
    assert not directory.exists()


def test_production_on_embedded_servers_is_warned_of(directory: Path) -> None:
    result = run_command("migrate", env=command_environment(directory, APP__MODE="production", **SECRETS))
    remove_local(directory)
    assert result.returncode == 0, result.stderr
    assert "embedded_servers_in_production" in result.stderr


def test_an_unusable_setting_is_named_without_its_value(directory: Path) -> None:
    result = run_command("migrate", env=command_environment(directory, DB__URL="mysql://u:very-secret@127.0.0.1/x"))
    assert_fails_in_one_sentence(result, "DB__URL")
    assert "very-secret" not in result.stderr


# --- what is wrong with the servers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["serve", "local"])
def test_a_taken_port_is_told_before_anything_is_started(directory: Path, command: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = run_command(command, "--port", port, env=command_environment(directory))
    assert_fails_in_one_sentence(result, f"127.0.0.1:{port}", "in use", "PORT")
    assert not directory.exists()


@pytest.mark.parametrize("words", [("migrate",), ("seed", "--no-progress"), USER])
def test_a_database_that_nobody_answers_for_is_one_sentence(directory: Path, words: tuple[str, ...]) -> None:
    result = run_command(*words, env=command_environment(directory, **NOWHERE))
    assert_fails_in_one_sentence(result, "127.0.0.1:1", "DB__HOST")


def test_a_missing_socket_is_one_sentence(directory: Path) -> None:
    result = run_command("migrate", env=command_environment(directory, DB__HOST="/no/such/folder"))
    assert_fails_in_one_sentence(result, "/no/such/folder", "DB__HOST")


def test_a_wrong_password_is_one_sentence_that_does_not_hold_it(directory: Path) -> None:
    settings = settings_of_this_run() | {"DB__PASSWORD": "not-the-password"}
    result = run_command("migrate", env=command_environment(directory, **settings))
    assert_fails_in_one_sentence(result, "password authentication failed", "DB__PASSWORD")
    assert "not-the-password" not in result.stderr


def test_an_unknown_database_is_one_sentence(directory: Path) -> None:
    settings = settings_of_this_run() | {"DB__NAME": "no_such_database"}
    result = run_command("seed", env=command_environment(directory, **settings))
    assert_fails_in_one_sentence(result, '"no_such_database"', "DB__NAME")


@pytest.mark.parametrize("words", [("seed", "--no-progress"), USER])
def test_a_database_that_was_never_migrated_is_one_sentence(directory: Path, worker_id: str, words: tuple[str, ...]) -> None:
    create_database(f"empty_{worker_id}")
    settings = settings_of_this_run() | {"DB__NAME": f"empty_{worker_id}"}
    result = run_command(*words, env=command_environment(directory, **settings))
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "main.py: The database has not the schema of this version: run `main.py migrate` first."
    assert "Traceback" not in result.stderr


def test_an_unknown_revision_is_one_sentence(directory: Path, worker_id: str) -> None:
    create_database(f"empty_{worker_id}")
    settings = settings_of_this_run() | {"DB__NAME": f"empty_{worker_id}"}
    result = run_command("migrate", "--revision", "nonsense", env=command_environment(directory, LOG__LEVEL="WARNING", **settings))
    assert_fails_in_one_sentence(result, "nonsense")


def test_it_serves_without_its_servers_and_says_that_it_is_not_ready(directory: Path) -> None:
    directory.mkdir()
    service = Service(directory, command="serve", **NOWHERE)
    try:
        service.start()
        with service.client() as client:
            live, ready = client.get("/api/v1/health/live"), client.get("/api/v1/health/ready")
        assert (live.status_code, live.json()["status"]) == (200, "pass")
        assert (ready.status_code, ready.json()["code"]) == (503, "database_unavailable")
        assert service.terminate() == 0  # there are no embedded servers whose keeper would see to it
        assert service.left_behind() == set()
        assert "Traceback" not in service.errors.read_text()
    finally:
        service.close()
