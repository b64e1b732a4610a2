"""Backup and restore: the same rows, schema and images come back, or everything stays as it was."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from fastapi_application.backup import programs
from fastapi_application.backup.backup import Backup
from fastapi_application.backup.errors import BackupError
from fastapi_application.backup.manifest import DUMP, NAME, SEALED, Manifest
from fastapi_application.backup.places import DirectoryPlace, Place, once
from fastapi_application.backup.restore import Restore
from fastapi_application.core.config import DatabaseSettings, get_settings
from tests.backup.streams import gather
from tests.support.schema import schema_of
from tests.support.seeded import connection_to, create_seeded_database, session_on
from tests.support.servers import create_database

KEY = bytes(range(32))
IMAGES = {"ab/abcd.jpg": b"a picture" * 100_000, "cd/cdef.png": b"", "variants/ab/320.webp": b"small"}
TARGET = "restored"


@pytest.fixture(scope="module")
def source(servers: None, worker_id: str) -> str:
    """Create a database with the starter encyclopedia."""
    name = f"backed_up_{worker_id}"
    create_seeded_database(name)
    return name


@pytest.fixture
def target(servers: None, worker_id: str) -> str:
    """Create an empty database."""
    name = f"{TARGET}_{worker_id}"
    create_database(name)
    return name


@pytest.fixture
async def images(tmp_path: Path) -> Place:
    """Fill a store of images."""
    place = DirectoryPlace(tmp_path / "media")
    for key, content in IMAGES.items():
        await place.write(key, once(content))
    return place


@pytest.fixture
def empty_images(tmp_path: Path) -> Place:
    """Return a store without images."""
    return DirectoryPlace(tmp_path / "restored media")


@pytest.fixture(scope="module")
async def made_once(source: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a backup that is not encrypted."""
    folder = tmp_path_factory.mktemp("made")
    for key, content in IMAGES.items():
        await DirectoryPlace(folder / "media").write(key, once(content))
    await back_up(source, DirectoryPlace(folder / "media"), DirectoryPlace(folder / "backup"))
    return folder / "backup"


@pytest.fixture
def plain(made_once: Path, tmp_path: Path) -> Path:
    """Return a copy of that backup, to do harm to."""
    return Path(shutil.copytree(made_once, tmp_path / "plain"))


@pytest.fixture
def changing(servers: None, worker_id: str) -> str:
    """Create a database that changes while it is backed up."""
    name = f"changing_{worker_id}"
    create_seeded_database(name)
    return name


def settings_of(database: str) -> DatabaseSettings:
    """Return the settings of a database of this run."""
    return get_settings().db.model_copy(update={"name": database})


async def back_up(database: str, images: Place, target: Place, key: bytes | None = None) -> Manifest:
    """Back up."""
    async with session_on(database) as session:
        return await Backup(target, key).make(session, settings_of(database), images)


async def bring_back(database: str, images: Place, source: Place, key: bytes | None = None, *, force: bool = False) -> Manifest:
    """Restore."""
    async with session_on(database) as session:
        return await Restore(source, key).run(session, settings_of(database), images, force=force)


async def rows_of(database: str) -> dict[str, tuple[int, str]]:
    """Return for each table the number of its rows and a hash of their texts, computed here and not by the code under test."""
    async with connection_to(database) as connection:
        tables = await connection.fetch("SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        found = {}
        for (table,) in tables:
            rows = sorted(str(row[0]) for row in await connection.fetch(f"SELECT t::text FROM {table} t"))  # noqa: S608 - from the catalogue
            found[str(table)] = (len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest())
        return found


async def contents(place: Place) -> dict[str, bytes]:
    """Read a whole place."""
    return {key: await gather(place.read(key)) async for key in place.walk()}


async def assert_is_empty(database: str) -> None:
    """Check that nothing was restored."""
    assert await rows_of(database) == {}


# --- what comes back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])
async def test_everything_comes_back(key: bytes | None, place: Place, source: str, target: str, images: Place, empty_images: Place) -> None:
    made = await back_up(source, images, place, key)
    restored = await bring_back(target, empty_images, place, key)

    assert restored == made
    before = await rows_of(source)
    assert sum(count for count, _ in before.values()) > 10_000
    assert await rows_of(target) == before
    assert await schema_of(target) == await schema_of(source)
    assert await contents(empty_images) == IMAGES


async def test_an_encrypted_backup_shows_nothing(source: str, images: Place, tmp_path: Path) -> None:
    place = DirectoryPlace(tmp_path / "sealed")
    await back_up(source, images, place, KEY)
    stored = await contents(place)
    assert set(stored) == {f"{name}{SEALED}" for name in (DUMP, NAME, *(f"images/{key}" for key in IMAGES))}
    for content in stored.values():
        assert not any(word in content for word in (b"PGDMP", b"picture", b"public.", b"sha256"))


async def test_the_manifest_says_what_there_is(plain: Path, made_once: Path) -> None:
    manifest = json.loads((plain / NAME).read_bytes())
    assert manifest["format"] == 1
    assert {part["name"] for part in manifest["parts"]} == {DUMP, *(f"images/{key}" for key in IMAGES)}
    for part in manifest["parts"]:
        content = (plain / part["name"]).read_bytes()
        assert (part["size"], part["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert manifest["tables"]["public.aircraft"].startswith("291:")
    assert {path.stat().st_mode & 0o077 for path in (made_once, made_once / NAME, made_once / DUMP)} == {0}


class Meddling(DirectoryPlace):
    """A store in which others do something each time that it is listed: before the snapshot, and after it."""

    def __init__(self, root: Path, *events: Callable[[], Any]) -> None:
        """Take the events in their order."""
        super().__init__(root)
        self._events = list(events)

    async def walk(self) -> AsyncIterator[str]:
        """List, then let it happen."""
        listed = [key async for key in super().walk()]
        if self._events:
            happened = self._events.pop(0)()
            if asyncio.iscoroutine(happened):
                await happened
        for key in listed:
            yield key


async def test_rows_and_digests_are_of_one_moment(target: str, empty_images: Place, tmp_path: Path, changing: str) -> None:
    async def write() -> None:
        async with connection_to(changing) as connection:
            await connection.execute("UPDATE tag SET name = 'later ' || id; DELETE FROM fact")

    before = await rows_of(changing)
    place = DirectoryPlace(tmp_path / "backup")
    await back_up(changing, Meddling(tmp_path / "none", lambda: None, write), place)
    assert await rows_of(changing) != before
    await bring_back(target, empty_images, place)
    assert await rows_of(target) == before


async def test_images_may_come_and_go_meanwhile(source: str, images: Place, tmp_path: Path) -> None:
    media = tmp_path / "media"

    def change() -> None:
        (media / "cd/cdef.png").unlink()
        (media / "new.jpg").write_bytes(b"new")

    place = DirectoryPlace(tmp_path / "backup")
    await back_up(source, Meddling(media, change), place)
    kept = {key.removeprefix("images/"): content for key, content in (await contents(place)).items() if key.startswith("images/")}
    assert kept == {"new.jpg": b"new", **{key: content for key, content in IMAGES.items() if key != "cd/cdef.png"}}


# --- what is refused ------------------------------------------------------------------------------------------------


async def test_a_database_with_tables_is_left_alone_unless_forced(target: str, source: str, plain: Path, empty_images: Place) -> None:
    async with connection_to(target) as connection:
        await connection.execute(
            "CREATE SCHEMA other; CREATE TABLE other.mine (id int); CREATE TABLE fact (id int); INSERT INTO fact VALUES (1)"
        )
    with pytest.raises(BackupError, match="has tables already"):
        await bring_back(target, empty_images, DirectoryPlace(plain))
    assert list(await rows_of(target)) == ["fact"]
    assert await contents(empty_images) == {}

    await bring_back(target, empty_images, DirectoryPlace(plain), force=True)
    assert await rows_of(target) == await rows_of(source)
    async with connection_to(target) as connection:
        assert await connection.fetchval("SELECT to_regclass('other.mine')") is None


@pytest.mark.parametrize("name", [DUMP, "images/ab/abcd.jpg"])
@pytest.mark.parametrize("damage", ["changed", "cut short", "missing"])
async def test_a_damaged_part_is_noticed_before_anything_is_touched(
    name: str, damage: str, target: str, plain: Path, empty_images: Place
) -> None:
    file = plain / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    match damage:
        case "changed":
            file.write_bytes(content)
        case "cut short":
            file.write_bytes(file.read_bytes()[:-1])
        case _:
            file.unlink()
    with pytest.raises(BackupError, match=f"The backup is damaged: .*{name}"):
        await bring_back(target, empty_images, DirectoryPlace(plain))
    await assert_is_empty(target)
    assert await contents(empty_images) == {}


def _edit(directory: Path, **members: Any) -> None:
    manifest = json.loads((directory / NAME).read_bytes())
    (directory / NAME).write_text(json.dumps(manifest | members))


@pytest.mark.parametrize("force", [False, True])
async def test_rows_that_differ_from_the_manifest_are_rolled_back(force: bool, target: str, plain: Path, empty_images: Place) -> None:
    before = {}
    if force:
        async with connection_to(target) as connection:
            await connection.execute("CREATE TABLE mine (id int); INSERT INTO mine VALUES (1)")
        before = await rows_of(target)
    tables = json.loads((plain / NAME).read_bytes())["tables"]
    _edit(plain, tables={**tables, "public.fact": "82:1:2"})
    with pytest.raises(BackupError, match=r"psql failed: .*the rows of public.fact differ"):
        await bring_back(target, empty_images, DirectoryPlace(plain), force=force)
    assert await rows_of(target) == before


async def test_a_dump_that_pg_restore_cannot_read_changes_nothing(target: str, plain: Path, empty_images: Place) -> None:
    content = (plain / DUMP).read_bytes()[:-5000]
    (plain / DUMP).write_bytes(content)
    parts = json.loads((plain / NAME).read_bytes())["parts"]
    (dump,) = [part for part in parts if part["name"] == DUMP]
    dump.update(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    _edit(plain, parts=parts)
    async with connection_to(target) as connection:
        await connection.execute("CREATE TABLE mine (id int)")
    with pytest.raises(BackupError, match="pg_restore failed"):
        await bring_back(target, empty_images, DirectoryPlace(plain), force=True)
    assert list(await rows_of(target)) == ["mine"]


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"format": 2}, "format that this version does not know"),
        ({"parts": None}, "manifest of the backup in .* is damaged"),
        ({"tables": {"public.fact": "0'); DROP TABLE fact; --"}}, "is damaged"),
        ({"tables": {"public.fact; DROP TABLE fact": "0:0:0"}}, "is damaged"),
        ({"postgresql": 99}, "The backup is of PostgreSQL 99 and this server is"),
        ({"dumped_by": 99}, "pg_dump, pg_restore and psql of PostgreSQL 99 or newer are needed"),
    ],
)
async def test_an_unusable_manifest_is_one_sentence(
    members: dict[str, Any], sentence: str, target: str, plain: Path, empty_images: Place
) -> None:
    _edit(plain, **members)
    with pytest.raises(BackupError, match=sentence):
        await bring_back(target, empty_images, DirectoryPlace(plain))
    await assert_is_empty(target)


async def test_a_part_with_a_hostile_name_is_not_written_outside(target: str, plain: Path, empty_images: Place, tmp_path: Path) -> None:
    parts = json.loads((plain / NAME).read_bytes())["parts"]
    parts.append({"name": "images/../../escaped", "size": 1, "sha256": hashlib.sha256(b"x").hexdigest()})
    _edit(plain, parts=parts)
    with pytest.raises(BackupError, match="not the name of an object"):
        await bring_back(target, empty_images, DirectoryPlace(plain))
    assert not {tmp_path / name for name in ("escaped", "restored media/escaped") if (tmp_path / name).exists()}
    await assert_is_empty(target)


async def test_the_key_decides(source: str, target: str, images: Place, empty_images: Place, tmp_path: Path) -> None:
    place = DirectoryPlace(tmp_path / "sealed")
    await back_up(source, images, place, KEY)
    with pytest.raises(BackupError, match="is encrypted: name its key"):
        await bring_back(target, empty_images, place)
    with pytest.raises(BackupError, match="this is not its key"):
        await bring_back(target, empty_images, place, bytes(32))
    picture, other = (tmp_path / "sealed/images" / f"{key}{SEALED}" for key in ("ab/abcd.jpg", "cd/cdef.png"))
    picture.write_bytes(other.read_bytes())
    with pytest.raises(BackupError, match=r"images/ab/abcd\.jpg cannot be decrypted"):
        await bring_back(target, empty_images, place, KEY)
    await assert_is_empty(target)


# --- what fails -----------------------------------------------------------------------------------------------------


async def test_a_backup_that_was_interrupted_is_none_and_can_be_made_again(
    source: str, target: str, images: Place, empty_images: Place, tmp_path: Path
) -> None:
    class Failing(DirectoryPlace):
        async def write(self, key: str, chunks: AsyncIterator[bytes]) -> None:
            if key == NAME:
                raise OSError("the disk is full")
            await super().write(key, chunks)

    directory = tmp_path / "backup"
    with pytest.raises(OSError, match="the disk is full"):
        await back_up(source, images, Failing(directory))
    assert (directory / DUMP).is_file()
    with pytest.raises(BackupError, match="There is no complete backup"):
        await bring_back(target, empty_images, DirectoryPlace(directory))

    await back_up(source, images, DirectoryPlace(directory))
    with pytest.raises(BackupError, match="holds a backup already"):
        await back_up(source, images, DirectoryPlace(directory))
    await bring_back(target, empty_images, DirectoryPlace(directory))


async def test_a_dump_that_fails_leaves_no_manifest(source: str, images: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bin_of_wheel = next(folder for folder in programs._folders() if "pginstall" in str(folder))  # noqa: SLF001 - the wheel's
    fake = tmp_path / "bin"
    shutil.copytree(bin_of_wheel, fake, ignore=lambda _, names: [name for name in names if name not in {"pg_restore", "psql"}])
    script = fake / "pg_dump"
    version = '[ "$1" = --version ] && exec echo "pg_dump (PostgreSQL) 99.1"'
    script.write_text(f'#!/bin/sh\n{version}\nprintf PGDMP\necho "pg_dump: error: no space" >&2\nexit 1\n')
    script.chmod(0o700)
    monkeypatch.setattr(programs, "_folders", lambda: [fake])
    with pytest.raises(BackupError, match="pg_dump failed: pg_dump: error: no space"):
        await back_up(source, images, DirectoryPlace(tmp_path / "backup"))
    assert not [file for file in (tmp_path / "backup").rglob("*") if file.name in {DUMP, NAME} or file.name.endswith(".partial")]


async def test_programs_that_are_too_old_are_named(source: str, images: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin"
    fake.mkdir()
    for name in ("pg_dump", "pg_restore", "psql"):
        (fake / name).write_text('#!/bin/sh\necho "pg_dump (PostgreSQL) 12.7"\n')
        (fake / name).chmod(0o700)
    monkeypatch.setattr(programs, "_folders", lambda: [tmp_path / "nothing", fake])
    with pytest.raises(BackupError, match=r"PostgreSQL 1\d or newer are needed.*Found here: 12\.") as error:
        await back_up(source, images, DirectoryPlace(tmp_path / "backup"))
    assert len(str(error.value).splitlines()) == 1


async def test_no_command_line_shows_a_secret(
    source: str, target: str, images: Place, empty_images: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    start = asyncio.create_subprocess_exec

    async def noting(*command: Any, **options: Any) -> Any:
        started.append(" ".join(map(str, command)))
        return await start(*command, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noting)
    place = DirectoryPlace(tmp_path / "backup")
    await back_up(source, images, place)
    await bring_back(target, empty_images, place)
    assert {Path(command.partition(" ")[0]).name for command in started} == {"pg_dump", "pg_restore", "psql"}
    password = get_settings().db.password.get_secret_value()
    assert password
    assert not any(password in command for command in started)


def test_programs_are_told_all_that_a_url_says() -> None:
    url = "postgresql://me:p%40ss@db.example.org:6432/planes?sslmode=verify-full&sslrootcert=/ca.pem"
    env = programs.libpq_environment(DatabaseSettings.model_validate({"url": url}))
    assert {name: value for name, value in env.items() if name.startswith("PG")} == {
        "PGOPTIONS": "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0",
        "PGHOST": "db.example.org",
        "PGPORT": "6432",
        "PGUSER": "me",
        "PGPASSWORD": "p@ss",
        "PGDATABASE": "planes",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/ca.pem",
        "PGAPPNAME": "frankenjet-backup",
        "PGCONNECT_TIMEOUT": "10",
        "PGCLIENTENCODING": "UTF8",
    }
    assert not any("__" in name for name in env)
