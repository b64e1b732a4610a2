"""The embedded servers, with real processes: each test starts its own in a directory of its own."""

import asyncio
import json
import locale
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import asyncpg
import pytest
from redis import Redis

from fastapi_application.local import LocalServerError, local_servers, remove_local
from fastapi_application.local.processes import Residents

ROOT = Path(__file__).parents[2]
STOP_S = 90
"""Longer than a shutdown checkpoint on a busy disk, and than what follows when it takes too long."""
USER_PROGRAM = """
import json, sys
from pathlib import Path
from fastapi_application.local import local_servers
with local_servers(Path(sys.argv[1]), postgres=True, redis=True) as settings:
    print(json.dumps(settings), flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A LOCAL__DIR of which nothing is left afterwards, elsewhere neither."""
    path = tmp_path / ".local"
    yield path
    remove_local(path)


def start_user(directory: Path) -> subprocess.Popen[str]:
    """Start another process that uses the servers until it reads a line or is killed."""
    return subprocess.Popen(
        [sys.executable, "-c", USER_PROGRAM, str(directory)],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


@contextmanager
def other_process(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the servers running."""
    process = start_user(directory)
    try:
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def leave(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=60)
    assert process.returncode == 0


def running(directory: Path) -> SimpleNamespace:
    """The process ids of both servers."""
    return SimpleNamespace(
        postgres=_leaders(directory / "postgres/data", "postmaster.pid", "postgres"),
        redis=_leaders(directory / "redis", "server.pid", "redis-server", "valkey-server"),
    )


def _leaders(data: Path, pid_file: str, *names: str) -> set[int]:
    return Residents(data, *names, pid_file=data / pid_file).leaders() if data.exists() else set()


def assert_nothing_runs(directory: Path) -> None:
    assert running(directory) == SimpleNamespace(postgres=set(), redis=set())
    assert not (directory / "sockets").is_symlink()


def sql(settings: dict[str, str], query: str) -> object:
    async def run() -> object:
        connection = await asyncpg.connect(
            host=settings["DB__HOST"],
            port=int(settings["DB__PORT"]),
            user=settings["DB__USER"],
            password=settings["DB__PASSWORD"],
            database=settings["DB__NAME"],
        )
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(run())


@contextmanager
def redis(settings: dict[str, str]) -> Iterator[Redis]:
    client = Redis.from_url(settings["REDIS__URL"], decode_responses=True)
    try:
        yield client
    finally:
        client.close()


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_state_survives_a_restart_and_nothing_is_left_running(directory: Path) -> None:
    with local_servers(directory, postgres=True, redis=True) as settings:
        sql(settings, "CREATE TABLE kept AS SELECT 7 AS n")
        with redis(settings) as client:
            client.set("kept", "8")
    assert_nothing_runs(directory)
    started = time.monotonic()
    with local_servers(directory, postgres=True, redis=True) as settings:
        second_start = time.monotonic() - started
        assert sql(settings, "SELECT n FROM kept") == 7
        with redis(settings) as client:
            assert client.get("kept") == "8"
    assert_nothing_runs(directory)
    assert second_start < 15  # normally 0.2 s; the promise to people is 15 s for all of `make run`


def test_the_servers_are_private_and_durable(directory: Path) -> None:
    with local_servers(directory, postgres=True, redis=True) as settings:
        for name, value in {
            "listen_addresses": "",
            "password_encryption": "scram-sha-256",
            "data_checksums": "on",
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "server_encoding": "UTF8",
        }.items():
            assert sql(settings, f"SELECT current_setting('{name}')") == value
        with redis(settings) as client:
            config = client.config_get("port", "appendonly", "maxmemory", "maxmemory-policy")
            assert config == {
                "port": "0",
                "appendonly": "yes",
                "maxmemory": str(256 * 2**20),
                "maxmemory-policy": "volatile-lru",
            }
        with pytest.raises(asyncpg.InvalidPasswordError):
            sql(settings | {"DB__PASSWORD": "wrong"}, "SELECT 1")
        for secret in ("postgres.password", "redis.password", "redis/server.conf"):
            assert (directory / secret).stat().st_mode & 0o777 == 0o600
        for pid in running(directory).redis | running(directory).postgres:
            command = Path(f"/proc/{pid}/cmdline")
            assert not command.exists() or settings["DB__PASSWORD"].encode() not in command.read_bytes()
            assert os.getsid(pid) == pid  # so a Ctrl-C in our terminal does not reach it


def test_letters_of_all_scripts_are_letters_whatever_the_environment_says(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.setenv(name, "C")
    before = locale.setlocale(locale.LC_CTYPE)
    with local_servers(directory, postgres=True, redis=False) as settings:
        sql(settings, "CREATE EXTENSION pg_trgm")
        assert sql(settings, "SELECT cardinality(show_trgm('Ильюшин'))") == 8
        assert sql(settings, "SELECT lower('ИЛЬЮШИН')") == "ильюшин"
        assert sql(settings, "SELECT datlocprovider::text || ' ' || datlocale FROM pg_database WHERE datname = 'frankenjet'") == "b C.UTF-8"
        assert sql(settings, "SELECT current_setting('lc_messages')") == "C"
    assert locale.setlocale(locale.LC_CTYPE) == before


def test_only_what_is_asked_for_starts(directory: Path) -> None:
    with local_servers(directory, postgres=False, redis=False) as settings:
        assert settings == {}
        assert not directory.exists()
    with local_servers(directory, postgres=False, redis=True) as settings:
        assert set(settings) == {"REDIS__URL"}
        assert not (directory / "postgres").exists()
        with local_servers(directory, postgres=True, redis=False) as more:
            assert set(more) == {"DB__HOST", "DB__PORT", "DB__USER", "DB__PASSWORD", "DB__NAME"}
        assert running(directory).redis
    assert_nothing_runs(directory)


def test_the_last_process_stops_the_servers(directory: Path) -> None:
    with other_process(directory) as other:
        before = running(directory)
        with local_servers(directory, postgres=True, redis=True) as settings:
            assert running(directory) == before
            leave(other)
            assert running(directory) == before
            assert sql(settings, "SELECT 1") == 1
    assert_nothing_runs(directory)
    with other_process(directory) as other:
        with local_servers(directory, postgres=True, redis=True):
            pass
        assert running(directory).postgres
        assert running(directory).redis
        leave(other)
    assert_nothing_runs(directory)


def test_processes_that_start_at_once_share_one_pair(directory: Path) -> None:
    others = [start_user(directory) for _ in range(4)]
    with local_servers(directory, postgres=True, redis=True):
        servers = running(directory)
        assert len(servers.postgres) == 1
        assert len(servers.redis) == 1
    for other in others:
        leave(other)
    assert_nothing_runs(directory)


def test_a_killed_user_leaves_servers_that_the_next_one_stops(directory: Path) -> None:
    with other_process(directory) as other:
        before = running(directory)
        other.kill()
        other.wait(10)
    assert running(directory) == before
    with local_servers(directory, postgres=True, redis=True):
        assert running(directory) == before
    assert_nothing_runs(directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_in_order(directory: Path, number: signal.Signals) -> None:
    with other_process(directory) as other:
        other.send_signal(number)
        other.send_signal(number)  # an impatient second one changes nothing
        other.wait(STOP_S)
        assert_nothing_runs(directory)


def test_killed_servers_are_started_again(directory: Path) -> None:
    with other_process(directory), local_servers(directory, postgres=True, redis=True) as settings:
        sql(settings, "CREATE TABLE kept AS SELECT 7 AS n")
        servers = running(directory)
        for pid in servers.postgres | servers.redis:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not running(directory).redis)
        with local_servers(directory, postgres=True, redis=True) as again:
            assert sql(again, "SELECT n FROM kept") == 7
            with redis(again) as client:
                assert client.ping()


def test_a_stale_process_number_of_a_stranger_is_no_obstacle(directory: Path) -> None:
    with local_servers(directory, postgres=True, redis=False):
        pid_file = directory / "postgres/data/postmaster.pid"
        content = pid_file.read_text()
        (postmaster,) = running(directory).postgres
        os.kill(postmaster, signal.SIGKILL)
        wait_until(lambda: not running(directory).postgres)
    # The machine came up again, and the number now belongs to this process.
    pid_file.write_text(content.replace(str(postmaster), str(os.getpid()), 1))
    with local_servers(directory, postgres=True, redis=False) as settings:
        assert sql(settings, "SELECT 1") == 1


def test_removed_sockets_come_back(directory: Path) -> None:
    with other_process(directory):
        shutil.rmtree((directory / "sockets").readlink())  # as a cleaner of /tmp does
        with local_servers(directory, postgres=True, redis=True) as settings:
            assert sql(settings, "SELECT 1") == 1
            with redis(settings) as client:
                assert client.ping()


def test_a_long_path_with_odd_characters(tmp_path: Path) -> None:
    directory = tmp_path / ("a 'long' \"path\" " * 8) / ("ünï $HOME `id`\\" * 8) / ".local"
    try:
        with local_servers(directory, postgres=True, redis=True) as settings:
            assert len(f"{settings['DB__HOST']}/.s.PGSQL.5432") < 100
            assert sql(settings, "SELECT 1") == 1
            with redis(settings) as client:
                assert client.ping()
    finally:
        remove_local(directory)
    assert not directory.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_initdb_is_not_taken_for_a_cluster(directory: Path, number: signal.Signals) -> None:
    other = start_user(directory)
    wait_until(lambda: list(directory.glob("postgres/data.partial-*/base")))
    other.send_signal(number)
    other.communicate(timeout=60)
    assert not (directory / "postgres/data").exists()
    with local_servers(directory, postgres=True, redis=True) as settings:
        assert sql(settings, "SELECT 1") == 1
    assert list(directory.glob("postgres/*partial*")) == []
    assert list(directory.glob("postgres/*.password")) == []
    assert_nothing_runs(directory)


def test_run_by_root_the_parents_stay_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    directory = closed / ".local"
    as_root = os.geteuid() == 0
    with local_servers(directory, postgres=True, redis=True):
        home = directory / "postgres"
        assert home.is_symlink() == as_root
        assert ((home / "data").stat().st_uid == os.geteuid()) != as_root
        assert (home / "data").stat().st_mode & 0o777 == 0o700
        assert closed.stat().st_mode & 0o777 == 0o700
        target = home.resolve()
    remove_local(directory)
    assert not target.exists()


def test_a_copied_directory_does_not_share_the_database(directory: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with local_servers(directory, postgres=True, redis=False) as settings:
        sql(settings, "CREATE TABLE mine AS SELECT 1")
    shutil.copytree(directory, copy, symlinks=True)
    if os.geteuid() == 0:  # then the files themselves lie elsewhere, and the link is all that was copied
        try:
            with local_servers(copy, postgres=True, redis=False) as settings:
                assert sql(settings, "SELECT to_regclass('mine')") is None
        finally:
            remove_local(copy)
    with local_servers(directory, postgres=True, redis=False) as settings:
        assert sql(settings, "SELECT to_regclass('mine')::text") == "mine"


def test_a_moved_directory_keeps_its_database(directory: Path, tmp_path: Path) -> None:
    with local_servers(tmp_path / "first", postgres=True, redis=True) as settings:
        sql(settings, "CREATE TABLE mine AS SELECT 1")
    (tmp_path / "first").rename(directory)
    with local_servers(directory, postgres=True, redis=True) as settings:
        assert sql(settings, "SELECT to_regclass('mine')::text") == "mine"


def test_failures_are_one_sentence(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(pattern: str) -> None:
        with pytest.raises(LocalServerError, match=pattern), local_servers(directory, postgres=True, redis=False):
            pytest.fail("it started")
        assert_nothing_runs(directory)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=5 * 2**20))
        fails("not enough disk space .* 5 MB free")
    with local_servers(directory, postgres=True, redis=False):
        pass
    password = directory / "postgres.password"
    right = password.read_text()
    password.write_text("wrong")
    fails("does not accept the password in .*postgres.password")
    password.unlink()
    fails("password file .* is missing")
    password.write_text(right)
    config = directory / "postgres/data/postgresql.conf"
    settings = config.read_text()
    config.write_text(settings + "shared_buffers = many\n")
    fails("did not start; see .*postgres.log")
    config.write_text(settings)
    version = directory / "postgres/data/PG_VERSION"
    version.write_text("12\n")
    fails("was made by PostgreSQL 12, and this is PostgreSQL 18")


def test_a_directory_in_use_is_not_removed(directory: Path) -> None:
    with local_servers(directory, postgres=False, redis=True):
        with pytest.raises(LocalServerError, match="in use"):
            remove_local(directory)
        assert running(directory).redis
