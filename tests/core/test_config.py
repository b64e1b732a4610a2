"""Settings: read from the environment, strict about secrets, and never telling a value."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from fastapi_application.core.config import ConfigurationError, DatabaseSettings, Settings, get_settings

STRONG = {
    "ACCESS_TOKEN__RESET_PASSWORD_TOKEN_SECRET": "kD83hf-92jfKKs02lsoP28dnWq7zXc5vB1",
    "ACCESS_TOKEN__VERIFICATION_TOKEN_SECRET": "Zx91mNqLp0sKd73hWe6tYu2iOa4gFj8cVb5",
}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the settings of the test run, and read none of a file."""
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    for name in STRONG:
        monkeypatch.delenv(name, raising=False)
    for name in ("DB__HOST", "DB__NAME", "DB__PASSWORD", "DB__PORT", "DB__USER", "REDIS__URL", "LOCAL__DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _restore_afterwards(clean: None) -> object:
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(
        monkeypatch,
        SERVER__CORS_ORIGINS="https://a.example, https://b.example,",
        SERVER__TRUSTED_PROXIES="10.0.0.0/8, ::1",
        SERVER__ALLOWED_HOSTS="example.org",
    )
    server = Settings().server
    assert server.cors_origins == ["https://a.example", "https://b.example"]
    assert server.trusted_proxies == [ip_network("10.0.0.0/8"), ip_network("::1/128")]
    assert server.allowed_hosts == ["example.org"]


def test_an_access_token_lives_for_a_quarter_of_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTH__ACCESS_TTL_S")
    assert Settings().auth.access_ttl_s == 900


def test_an_empty_value_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, LOG__FILE="", DB__URL="", SERVER__PORT="")
    settings = Settings()
    assert (settings.log.file, settings.db.is_configured, settings.server.port) == (None, False, 8000)


def test_production_asks_for_both_secrets_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, APP__MODE="production")
    with pytest.raises(ConfigurationError) as caught:
        get_settings()
    assert all(name in str(caught.value) for name in STRONG)


@pytest.mark.parametrize("weak", ["short", "x" * 64, "changeme-changeme-changeme-changeme-1", "0123" * 16])
def test_production_refuses_weak_secrets_without_telling_them(weak: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, APP__MODE="production", **STRONG | {"ACCESS_TOKEN__VERIFICATION_TOKEN_SECRET": weak})
    with pytest.raises(ConfigurationError) as caught:
        get_settings()
    assert "ACCESS_TOKEN__VERIFICATION_TOKEN_SECRET" in str(caught.value)
    assert "ACCESS_TOKEN__RESET_PASSWORD_TOKEN_SECRET" not in str(caught.value)
    assert weak not in str(caught.value)


def test_production_starts_with_strong_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, APP__MODE="production", **STRONG)
    assert get_settings().access_token.verification_token_secret.get_secret_value() == STRONG["ACCESS_TOKEN__VERIFICATION_TOKEN_SECRET"]


def test_local_mode_makes_secrets_of_its_own() -> None:
    first, second = Settings().access_token, Settings().access_token
    assert len(first.verification_token_secret) >= 32
    assert first.verification_token_secret != second.verification_token_secret
    assert first.verification_token_secret != first.reset_password_token_secret


def test_a_wrong_value_is_named_and_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, SERVER__PORT="hunter2", DB__URL="mysql://user:hunter2@host/db")
    with pytest.raises(ConfigurationError) as caught:
        get_settings()
    assert "SERVER__PORT" in str(caught.value)
    assert "DB__URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, DB__HOST="db", DB__PASSWORD="hunter2", **STRONG)
    settings = Settings()
    assert "hunter2" not in repr(settings)
    assert not any(secret in repr(settings) for secret in STRONG.values())


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"host": "db", "password": "p@ss/word"}, "postgresql+asyncpg://frankenjet:p%40ss%2Fword@db:5432/frankenjet"),
        ({"host": "/run/s", "port": 5433, "password": ""}, "postgresql+asyncpg://frankenjet@/frankenjet?host=%2Frun%2Fs&port=5433"),
        ({"url": "postgresql://u:p@h:1/n"}, "postgresql+asyncpg://u:p@h:1/n"),
        ({"url": "postgres://u:p@h/n?sslmode=require"}, "postgresql+asyncpg://u:p@h/n?ssl=require"),
    ],
)
def test_a_database_is_named_by_url_or_by_parts(settings: dict[str, str | int], url: str) -> None:
    assert DatabaseSettings.model_validate(settings).sqlalchemy_url().render_as_string(hide_password=False) == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB__MIGRATION_URL", "mysql://user:hunter2@host/db"),
        ("DB__REPLICA_URL", "hunter2"),
        ("REDIS__URL", "redis+sentinel://user:hunter2@host:26379/primary/0"),
    ],
)
def test_an_address_of_something_else_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, **{name: value})
    with pytest.raises(ConfigurationError) as caught:
        get_settings()
    assert name in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_commands_and_the_replica_have_addresses_of_their_own() -> None:
    plain = DatabaseSettings.model_validate({"host": "pgbouncer", "pgbouncer": True})
    assert (plain.for_commands(), plain.of_replica()) == (plain, None)
    urls = {"migration_url": "postgresql://owner@primary/n", "replica_url": "postgresql://u@pgbouncer/replica"}
    both = DatabaseSettings.model_validate({"host": "pgbouncer", "pgbouncer": True, **urls})
    commands, replica = both.for_commands(), both.of_replica()
    assert replica is not None
    assert (commands.sqlalchemy_url().host, commands.pgbouncer) == ("primary", False)
    assert (replica.sqlalchemy_url().database, replica.pgbouncer) == ("replica", True)
    assert both.sqlalchemy_url().host == "pgbouncer"
