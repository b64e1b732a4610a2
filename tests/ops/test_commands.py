"""`backup`, `restore` and `doctor` as an operator types them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fastapi_application.cli.run import run
from tests.support.commands import assert_fails_in_one_sentence, command_environment, run_command, settings_of_this_run
from tests.support.seeded import connection_to
from tests.support.servers import create_database

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("words", [["backup"], ["restore"], ["backup", "--to", "x", "--force"], ["doctor", "--fix"]])
def test_wrong_usage_is_exit_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(words)
    assert end.value.code == 2
    assert "usage: main.py" in capsys.readouterr().err


@pytest.fixture
def spare(servers: None, worker_id: str) -> str:
    """Create an empty database."""
    name = f"spare_{worker_id}"
    create_database(name)
    return name


async def test_a_database_goes_away_and_comes_back(application: object, spare: str, tmp_path: Path) -> None:
    env = command_environment(tmp_path / "local", STORAGE__DIRECTORY=str(tmp_path / "media"), **settings_of_this_run())
    empty = {**env, "DB__NAME": spare, "STORAGE__DIRECTORY": str(tmp_path / "other")}
    (tmp_path / "media/ab").mkdir(parents=True)
    (tmp_path / "media/ab/picture.jpg").write_bytes(b"a picture")
    key, place = tmp_path / "key", str(tmp_path / "backup")
    key.write_text("0123456789abcdef0123456789abcdef\n")

    made = run_command("backup", "--to", place, "--key-file", str(key), env=env)
    assert (made.returncode, made.stderr) == (0, "")
    assert "1 images" in made.stdout
    assert "encrypted" in made.stdout
    assert_fails_in_one_sentence(run_command("restore", "--from", place, "--key-file", str(key), env=env), "--force")

    restored = run_command("restore", "--from", place, "--key-file", str(key), env=empty)
    assert (restored.returncode, restored.stderr) == (0, "")
    assert (tmp_path / "other/ab/picture.jpg").read_bytes() == b"a picture"
    async with connection_to(spare) as connection:
        assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1

    healthy = run_command("doctor", "--json", env=empty)
    report = json.loads(healthy.stdout)
    assert {check["name"]: check["status"] for check in report["checks"]}["schema"] == "pass"
    async with connection_to(spare) as connection:
        await connection.execute("DELETE FROM alembic_version")
    ill = run_command("doctor", env=empty)
    assert ill.returncode == 1
    assert "FAIL  schema" in ill.stdout
    assert "main.py migrate" in ill.stdout


def test_the_doctor_speaks_of_settings_that_cannot_be_used(tmp_path: Path) -> None:
    result = run_command("doctor", "--json", env=command_environment(tmp_path / "local", APP__MODE="production"))
    assert result.returncode == 1
    (check,) = json.loads(result.stdout)["checks"]
    assert (check["name"], check["status"]) == ("settings", "fail")
    assert "ACCESS_TOKEN__RESET_PASSWORD_TOKEN_SECRET" in check["detail"]
    assert not (tmp_path / "local").exists()
