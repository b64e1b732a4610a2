"""The doctor: finds what is wrong, says what to do, and works when nothing else does."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
import pytest

from fastapi_application.core.config import Settings, get_settings
from fastapi_application.doctor import examination, surroundings
from fastapi_application.doctor import redis as doctor_of_redis
from fastapi_application.doctor import settings as doctor_of_settings
from fastapi_application.doctor.examination import examine
from fastapi_application.doctor.findings import Finding, worst_of
from fastapi_application.doctor.postgres import check_postgres, clock
from fastapi_application.doctor.redis import check_redis
from fastapi_application.doctor.settings import check_settings
from fastapi_application.doctor.surroundings import check_broker, check_disk, check_mail, check_storage
from tests.support.network import Door, door
from tests.support.seeded import connection_to, current_database
from tests.support.servers import create_database, migrate
from tests.support.smtp import mailbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TOKENS = {"reset_password_token_secret": "0123456789abcdef" * 2, "verification_token_secret": "fedcba9876543210" * 2}
GOOD: dict[str, dict[str, Any]] = {
    "app": {"mode": "production", "public_url": "https://planes.example.org"},
    "server": {"allowed_hosts": ["planes.example.org", "127.0.0.1"], "trusted_proxies": ["10.1.2.0/24"]},
    "db": {"url": "postgresql://frankenjet:password@db.example.org/frankenjet?sslmode=verify-full"},
    "redis": {"url": "rediss://:password@redis.example.org"},
    "mail": {"host": "smtp.example.org"},
    "storage": {"kind": "s3", "endpoint_url": "https://s3.example.org", "bucket": "planes"},
    "access_token": TOKENS,
}


def production(**changes: dict[str, Any]) -> Settings:
    """Return settings of production that are good but for the changes."""
    good = {group: {**members, **changes.get(group, {})} for group, members in GOOD.items()}
    return Settings.model_validate({**good, "log": changes.get("log", {})})


def named(findings: list[Finding], name: str) -> Finding:
    """Return the finding of this name that is not a pass, and check that it says what to do."""
    (finding,) = [finding for finding in findings if finding.name == name and finding.status != "pass"]
    assert finding.advice
    return finding


@pytest.fixture
def examined(servers: None, worker_id: str, database: str) -> str:
    """Create a migrated database, to do harm to."""
    name = f"examined_{worker_id}"
    create_database(name)
    with current_database(name):
        migrate()
    return name


@pytest.fixture(name="door")
async def _door() -> AsyncIterator[Door]:
    """Hold a port at which nobody listens."""
    async with door() as held:
        yield held


# --- settings -------------------------------------------------------------------------------------------------------


def test_good_settings_pass(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor_of_settings, "PROJECT_ROOT", tmp_path)
    assert [finding.status for finding in check_settings(production())] == ["pass"]
    assert [finding.status for finding in check_settings(Settings())] == ["pass"]


@pytest.mark.parametrize(
    ("changes", "name", "status"),
    [
        ({"access_token": dict.fromkeys(TOKENS, "0123456789abcdef" * 2)}, "ACCESS_TOKEN__*", "fail"),
        ({"server": {"trusted_proxies": ["0.0.0.0/0"]}}, "SERVER__TRUSTED_PROXIES", "fail"),
        ({"server": {"trusted_proxies": ["::/0"]}}, "SERVER__TRUSTED_PROXIES", "fail"),
        ({"server": {"cors_origins": ["*"]}}, "SERVER__CORS_ORIGINS", "fail"),
        ({"server": {"allowed_hosts": ["*"]}}, "SERVER__ALLOWED_HOSTS", "warn"),
        ({"app": {"public_url": "http://planes.example.org"}}, "APP__PUBLIC_URL", "fail"),
        ({"app": {"debug_headers": True}}, "APP__DEBUG_HEADERS", "warn"),
        ({"log": {"level": "DEBUG"}}, "LOG__LEVEL", "warn"),
        ({"db": {"url": "postgresql://frankenjet@db.example.org/x?sslmode=verify-full"}}, "DB__PASSWORD", "warn"),
        ({"db": {"url": "postgresql://frankenjet:password@db.example.org/x"}}, "DB__URL", "warn"),
        ({"db": {"url": None, "host": None}}, "DB__HOST", "fail"),
        ({"redis": {"url": "redis://redis.example.org"}}, "REDIS__PASSWORD", "warn"),
        ({"mail": {"host": None}}, "MAIL__HOST", "warn"),
        ({"mail": {"tls": "none"}}, "MAIL__TLS", "warn"),
        ({"storage": {"endpoint_url": "http://s3.example.org"}}, "STORAGE__ENDPOINT_URL", "warn"),
    ],
)
def test_an_unwise_setting_is_named(
    changes: dict[str, Any], name: str, status: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor_of_settings, "PROJECT_ROOT", tmp_path)
    (finding,) = check_settings(production(**changes))
    assert (finding.name, finding.status) == (name, status)
    assert finding.advice
    assert "password@" not in finding.line()


def test_a_file_of_settings_that_others_can_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor_of_settings, "PROJECT_ROOT", tmp_path)
    (tmp_path / ".env").touch(0o644)
    assert named(check_settings(Settings()), ".env").status == "warn"
    (tmp_path / ".env").chmod(0o600)
    assert worst_of(check_settings(Settings())) == "pass"


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


async def test_a_healthy_database_passes(examined: str) -> None:
    with current_database(examined):
        findings = await check_postgres(get_settings())
    assert {finding.status for finding in findings} == {"pass"}
    assert {finding.name for finding in findings} == {"postgresql", "postgresql clock", "schema", "jobs"}


async def test_what_is_wrong_in_a_database_is_named(examined: str) -> None:
    async with connection_to(examined) as connection:
        await connection.execute("CREATE TABLE twice (value int); INSERT INTO twice VALUES (1), (1)")
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("CREATE UNIQUE INDEX CONCURRENTLY half_built ON twice (value)")
        await connection.execute("UPDATE alembic_version SET version_num = '0001'")
        await connection.execute("""
            INSERT INTO outbox_job (id, name, payload, run_at, given_up_at) VALUES
            (gen_random_uuid(), 'a', '{}', now() - interval '1 hour', NULL), (gen_random_uuid(), 'b', '{}', now(), now())""")
    with current_database(examined):
        findings = await check_postgres(get_settings())
    assert "half_built" in named(findings, "postgresql indexes").detail
    assert "main.py migrate" in named(findings, "schema").advice
    assert [finding.detail for finding in findings if finding.name == "jobs"] == ["1 wait for more than 5 minutes", "1 were given up"]


async def test_a_schema_of_nobody_and_one_of_the_future(examined: str) -> None:
    async with connection_to(examined) as connection:
        await connection.execute("UPDATE alembic_version SET version_num = 'of the future'")
        with current_database(examined):
            assert named(await check_postgres(get_settings()), "schema").status == "warn"
        await connection.execute("DROP TABLE alembic_version")
        with current_database(examined):
            assert named(await check_postgres(get_settings()), "schema").detail == "the database was never migrated"


async def test_a_role_without_rights_is_named(examined: str, worker_id: str) -> None:
    role = f"guest_{worker_id}"
    async with connection_to(examined) as connection:
        await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'guest'; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        try:
            with current_database(examined):
                settings = get_settings()
                guest = settings.model_copy(
                    update={"db": settings.db.model_copy(update={"user": role, "password": type(settings.db.password)("guest")})}
                )
                findings = await check_postgres(guest)
        finally:
            await connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert named(findings, "postgresql role").status == "fail"


@pytest.mark.parametrize(("theirs", "status"), [(100.0, "pass"), (101.9, "pass"), (103.0, "fail"), (95.0, "fail")])
def test_clocks_are_compared(theirs: float, status: str) -> None:
    finding = clock("clock", theirs, 100.0)
    assert (finding.status, bool(finding.advice)) == (status, status == "fail")


# --- Redis ----------------------------------------------------------------------------------------------------------


async def test_a_healthy_redis_passes(database: str) -> None:
    findings = await check_redis(get_settings())
    assert {finding.status for finding in findings} == {"pass"}
    assert {finding.name for finding in findings} == {"redis", "redis memory", "redis clock"}


class Report(NamedTuple):
    """What a server says of itself, and what is found."""

    info: dict[str, Any]
    name: str
    status: str


@pytest.mark.parametrize(
    "report",
    [
        Report({"redis_version": "7.2.4"}, "redis", "fail"),
        Report({"redis_version": "7.2.4", "valkey_version": "7.2.9"}, "redis", "fail"),
        Report({"redis_version": "7.4.0", "role": "slave"}, "redis", "fail"),
        Report({"redis_version": "7.4.0", "loading": 1}, "redis", "warn"),
        Report({"redis_version": "7.4.0", "maxmemory_policy": "allkeys-lru", "maxmemory": 1}, "redis memory", "warn"),
        Report({"redis_version": "7.4.0", "maxmemory": 0}, "redis memory", "warn"),
    ],
)
def test_an_unfit_redis_is_named(report: Report) -> None:
    findings = [*doctor_of_redis._server(report.info), *doctor_of_redis._memory(report.info)]  # noqa: SLF001 - servers that we have not
    assert named(findings, report.name).status == report.status


# --- the rest -------------------------------------------------------------------------------------------------------


async def test_the_mail_server_is_asked_and_gets_no_mail(door: Door) -> None:
    async with mailbox() as box:
        mail = {"host": "127.0.0.1", "port": box.port}
        (finding,) = await check_mail(Settings(mail=mail))
        assert (finding.status, box.messages) == ("pass", [])
        (finding,) = await check_mail(Settings(mail={**mail, "user": "somebody", "password": "very-secret"}))
    assert (finding.status, bool(finding.advice), "very-secret" in finding.line()) == ("fail", True, False)
    (finding,) = await check_mail(Settings(mail={"host": "127.0.0.1", "port": door.port}))
    assert finding.status == "fail"


async def test_the_broker_is_looked_for(door: Door) -> None:
    settings = Settings(tasks={"broker_url": f"amqp://user:very-secret@127.0.0.1:{door.port}"})
    (finding,) = await check_broker(settings)
    assert (finding.status, "very-secret" in finding.line()) == ("warn", False)
    await door.open()
    assert [finding.status for finding in await check_broker(settings)] == ["pass"]


async def test_the_store_of_images_is_written_to_and_left_as_it_was(tmp_path: Path) -> None:
    (finding,) = await check_storage(Settings(storage={"directory": tmp_path / "media"}))
    assert finding.status == "pass"
    assert not any((tmp_path / "media").iterdir())
    (tmp_path / "file").touch()
    (finding,) = await check_storage(Settings(storage={"directory": tmp_path / "file"}))
    assert (finding.status, bool(finding.advice)) == ("fail", True)


@pytest.mark.parametrize(("free", "status"), [(100, "fail"), (2**30, "warn"), (2**40, "pass")])
async def test_a_full_disk_is_named(free: int, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(2**40, 2**40 - free, free))  # type: ignore[attr-defined] # noqa: SLF001
    assert {finding.status for finding in await check_disk(Settings())} == {status}


async def test_what_is_away_or_hangs_is_found_and_nothing_waits_for_ever(
    door: Door, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await door.open()  # says nothing to anybody
    monkeypatch.setattr(examination, "CHECK_S", 0.5)
    place = {"host": "127.0.0.1", "port": door.port}
    settings = Settings(db=place, redis={"url": f"redis://127.0.0.1:{door.port}"}, mail=place, storage={"directory": tmp_path / "media"})
    findings = await examine(settings)
    assert {finding.name: finding.status for finding in findings if finding.name in examination.CHECKS} == {
        "postgresql": "fail",
        "redis": "fail",
        "mail": "fail",
        "storage": "pass",
        "disk": "pass",
    }


async def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: Settings) -> list[Finding]:
        raise KeyError("a bug")

    monkeypatch.setattr(examination, "CHECKS", {"broken": broken})
    assert named(await examine(Settings()), "broken").detail == "could not be checked (KeyError)"
