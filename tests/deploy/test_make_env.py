"""scripts/make_env.sh: random secrets, never a known one, never over an existing file."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from dotenv import dotenv_values

from fastapi_application.core.config import MIN_SECRET_LENGTH
from tests.deploy.files import ROOT, read_settings, run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TOKEN_SECRETS = {"ACCESS_TOKEN__RESET_PASSWORD_TOKEN_SECRET", "ACCESS_TOKEN__VERIFICATION_TOKEN_SECRET"}
WRONG_USE = 2
SECRETS = TOKEN_SECRETS | {"DB__PASSWORD", "REDIS__PASSWORD", "STORAGE__SECRET_KEY"}


def clone(folder: Path) -> Path:
    """Copy the two files that the script needs and return the script."""
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts/make_env.sh", folder / "scripts")
    shutil.copy(ROOT / ".env.example", folder)
    return folder / "scripts/make_env.sh"


def read(folder: Path) -> dict[str, str]:
    """Read the files of `folder`."""
    return {file.name: file.read_text() for file in folder.iterdir()}


def test_env_gets_secrets_that_production_accepts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("APP__MODE", "production")
    written = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        assert run("sh", clone(folder)).returncode == 0
        env = dotenv_values(folder / ".env")
        assert set(env) == TOKEN_SECRETS
        written += list(env.values())
        assert stat.S_IMODE((folder / ".env").stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR
        assert {file.name for file in folder.iterdir()} == {".env", ".env.example", "scripts"}
        read_settings(folder / ".env")
    assert len(set(written)) == len(written)


def test_env_is_never_overwritten(tmp_path: Path) -> None:
    script = clone(tmp_path)
    (tmp_path / ".env").write_text("MINE=1\n")
    result = run("sh", script)
    assert result.returncode == 1
    assert ".env exists" in result.stderr
    assert (tmp_path / ".env").read_text() == "MINE=1\n"


def test_secret_files_are_given_kept_or_random(tmp_path: Path) -> None:
    script = ROOT / "scripts/make_env.sh"
    path = {"PATH": os.environ["PATH"]}
    given = 'a "b" $c'
    assert run("sh", script, "--secrets", tmp_path, env={**path, "REDIS__PASSWORD": given}).returncode == 0
    first = read(tmp_path)
    assert set(first) == SECRETS
    assert first["REDIS__PASSWORD"] == given
    assert all(len(value) >= MIN_SECRET_LENGTH for name, value in first.items() if name != "REDIS__PASSWORD")
    assert len(set(first.values())) == len(SECRETS)

    assert run("sh", script, "--secrets", tmp_path, env={**path, "DB__PASSWORD": "changed"}).returncode == 0
    assert read(tmp_path) == {**first, "DB__PASSWORD": "changed"}


def test_wrong_use_is_refused(tmp_path: Path) -> None:
    script = ROOT / "scripts/make_env.sh"
    assert run("sh", script, "--what").returncode == WRONG_USE
    assert run("sh", script, "--secrets", tmp_path / "none").returncode == 1
