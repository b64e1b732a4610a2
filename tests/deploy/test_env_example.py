""".env.example: every setting, its true default, a line that explains it; copied unchanged it changes nothing."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.deploy.files import ROOT, example_settings, read_settings, real_settings

if TYPE_CHECKING:
    from pathlib import Path

SHOWN = example_settings()
COMPOSE_ONLY = {"PUBLISH_ADDRESS", "PUBLISH_PORT", "MAIL_UI_PORT", "GRAFANA_PORT", "PACKAGE_INDEX_URL"}


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in real_settings():
        monkeypatch.delenv(name, raising=False)


def comparable(env_file: Path | None) -> dict[str, Any]:
    """Read the settings without the secrets, which local mode invents anew each time."""
    return read_settings(env_file).model_dump(exclude={"access_token"})


def test_names_every_setting_and_no_other() -> None:
    assert set(SHOWN) - COMPOSE_ONLY == real_settings()


def test_names_of_compose_are_used_by_compose() -> None:
    compose = (ROOT / "docker-compose.yaml").read_text("utf-8")
    assert {name for name in COMPOSE_ONLY if f"${{{name}:-" in compose} == COMPOSE_ONLY


def test_copied_unchanged_it_changes_nothing() -> None:
    assert comparable(ROOT / ".env.example") == comparable(None)


def test_defaults_shown_are_the_defaults(tmp_path: Path) -> None:
    shown = {name: value for name, value in SHOWN.items() if value and name not in COMPOSE_ONLY}
    env_file = tmp_path / ".env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in shown.items()), "utf-8")
    assert comparable(env_file) == comparable(None)

    env_file.write_text("SERVER__PORT=8001\n", "utf-8")
    assert comparable(env_file) != comparable(None)


def test_no_secret_has_a_value() -> None:
    secrets = {name: value for name, value in SHOWN.items() if name.endswith(("PASSWORD", "SECRET", "SECRET_KEY"))}
    assert {"DB__PASSWORD", "REDIS__PASSWORD", "MAIL__PASSWORD", "STORAGE__SECRET_KEY"} <= set(secrets)
    assert len([name for name in secrets if name.startswith("ACCESS_TOKEN__")]) == 2
    assert not any(secrets.values())


def test_every_setting_is_explained() -> None:
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    for before, line in pairwise(lines):
        name = line.removeprefix("# ").partition("=")[0]
        if name in SHOWN and name != "PUBLISH_PORT":
            assert before.startswith("# "), line
            assert before.endswith((".", ":5432/frankenjet", ":6379/0")), line
