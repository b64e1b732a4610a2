"""`new-entity`: what it writes passes the tests and checks of the project, and `--remove` leaves no trace."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fastapi_application.cli import entity_files
from fastapi_application.cli.entity_names import MAX_LENGTH, EntityNames
from fastapi_application.cli.errors import CommandError
from fastapi_application.cli.new_entity import check_free, following
from fastapi_application.local import remove_local
from tests.support.commands import ROOT, assert_fails_in_one_sentence, command_environment, settings_of_this_run
from tests.support.servers import create_database

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTS = ("alembic", "alembic.ini", "fastapi_application", "main.py", "pyproject.toml", "scripts", "tests")
TYPES = ".mypy_cache"
CACHES = {"__pycache__", ".venv", ".local", "tmp", ".hypothesis", TYPES, ".ruff_cache", ".import_linter_cache", ".pytest_cache"}
NAME, TABLE = "placeholders", "placeholder"
"""Nothing that an encyclopedia would have: these tests also pass after somebody has added airports."""
ONE_COMMAND_S = 240
"""Far more than any of them takes, so that a busy machine fails nothing."""


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "table", "model", "one"),
    [
        ("airports", "airports", "airport", "Airport", "an airport"),
        ("air_bases", "air-bases", "air_base", "AirBase", "an air base"),
        ("companies", "companies", "company", "Company", "a company"),
        ("licence_classes", "licence-classes", "licence_class", "LicenceClass", "a licence class"),
        ("branches", "branches", "branch", "Branch", "a branch"),
        ("crashes", "crashes", "crash", "Crash", "a crash"),
        ("gearboxes", "gearboxes", "gearbox", "Gearbox", "a gearbox"),
        ("torpedoes", "torpedoes", "torpedo", "Torpedo", "a torpedo"),
        ("museum_bureaus", "museum-bureaus", "museum_bureau", "MuseumBureau", "a museum bureau"),
        ("rotorcraft", "rotorcraft", "rotorcraft", "Rotorcraft", "a rotorcraft"),
        ("cockpit_glass", "cockpit-glass", "cockpit_glass", "CockpitGlass", "a cockpit glass"),
        ("book_series", "book-series", "book_series", "BookSeries", "a book series"),
        ("v2_rockets", "v2-rockets", "v2_rocket", "V2Rocket", "a v2 rocket"),
        ("units", "units", "unit", "Unit", "a unit"),
        ("unmanned_flights", "unmanned-flights", "unmanned_flight", "UnmannedFlight", "an unmanned flight"),
    ],
)
def test_all_names_follow_from_the_plural(name: str, kind: str, table: str, model: str, one: str) -> None:
    names = EntityNames.parse(name)
    assert (names.kind, names.table, names.model, names.a_singular) == (kind, table, model, one)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "snake_case"),
        ("Airports", "snake_case"),
        ("air-bases", "snake_case"),
        ("air__bases", "snake_case"),
        ("_airports", "snake_case"),
        ("airports_", "snake_case"),
        ("2seaters", "snake_case"),
        ("../airports", "snake_case"),
        ("аэропорты", "snake_case"),
        ("airports\n", "snake_case"),
        ("a" * (MAX_LENGTH + 1), f"{MAX_LENGTH} characters"),
        ("class", "word of Python"),
        ("bytes", "word of Python"),
        ("users", "`user`.*reserved word of SQL"),
        ("user", "reserved word of SQL"),
        ("orders", "`order`.*reserved word of SQL"),
        ("texts", "class `Text`"),
        ("entities", "class `Entity`"),
    ],
)
def test_what_cannot_be_a_name_is_refused(name: str, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        EntityNames.parse(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("aircraft", "an entity `aircraft` already"),
        ("design_bureaus", "an entity `design_bureaus` already"),
        ("aircrafts", "a table `aircraft` already"),
        ("aircraft_engines", "a table `aircraft_engine` already"),
        ("design_bureau", "a table `design_bureau` already"),
        ("access_tokens", "a table `access_token` already"),
        ("auth", "routes at /api/v1/auth already"),
        ("health", "routes at /api/v1/health already"),
        ("routing", "a file .*/routing.py already"),
        ("registry", "a file tests/factories/registry.py already"),
        (NAME, None),
    ],
)
def test_what_the_project_has_is_refused(name: str, reason: str | None) -> None:
    if reason is None:
        check_free(EntityNames.parse(name))
        return
    with pytest.raises(CommandError, match=reason):
        check_free(EntityNames.parse(name))


@pytest.mark.parametrize(("revision", "expected"), [("0001", "0002"), ("0099", "0100"), ("9999", "10000"), ("7", "8")])
def test_numbered_revisions_go_on(revision: str, expected: str) -> None:
    assert following(revision) == expected


def test_other_revisions_are_followed_by_a_random_one() -> None:
    first, second = following("1975ea83b712"), following("1975ea83b712")
    assert re.fullmatch("[0-9a-f]{12}", first)
    assert first != second


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a_first", NAME, "routers", "v2_rockets", "zeppelins", "tag_categories2"])
def test_the_registry_is_sorted_and_restored(name: str) -> None:
    before = entity_files.REGISTRY.read_text()
    after = entity_files.registry_with(before, name)
    assert set(after.splitlines()) - set(before.splitlines()) == {
        f"from fastapi_application.encyclopedia.{name}.router import router as {name}",
        f"    {name},",
    }
    entries = re.findall(r"^    (\w+),$", after, re.MULTILINE)
    assert entries == sorted(entries) == re.findall(r"^from .* as (\w+)$", after, re.MULTILINE)
    assert entity_files.registry_without(after, name) == before


def test_numbers_in_names_are_sorted_by_value() -> None:
    registry = entity_files.REGISTRY.read_text()
    for name in ("v10_rockets", "v2_rockets"):
        registry = entity_files.registry_with(registry, name)
    assert registry.index("    v2_rockets,") < registry.index("    v10_rockets,")


def test_a_registry_of_another_form_is_refused() -> None:
    registry = entity_files.REGISTRY.read_text()
    with pytest.raises(CommandError, match="by hand"):
        entity_files.registry_with(registry.replace("import router as", "import router  as"), NAME)
    with pytest.raises(CommandError, match="by hand"):
        entity_files.registry_without(registry, NAME)


def test_every_name_gives_code_as_the_formatter_would_write_it(tmp_path: Path) -> None:
    names = ["b" * MAX_LENGTH, "b" * (MAX_LENGTH - 1) + "s", "air_traffic_control_centres", "routers", "routinf", "zeppelins", "w"]
    registry = entity_files.REGISTRY.read_text()
    for name in names:
        registry = entity_files.registry_with(registry, name)
        files = entity_files.render(EntityNames.parse(name), ROOT / f"alembic/versions/20260131_0002_{name}.py", "0002", "0001")
        for path, content in files.items():
            target = tmp_path / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    (tmp_path / entity_files.REGISTRY.relative_to(ROOT)).write_text(registry)
    for part in ("pyproject.toml", "fastapi_application/__init__.py"):
        shutil.copy2(ROOT / part, tmp_path / part)
    for check in (["check"], ["format", "--diff"]):
        words = [sys.executable, "-m", "ruff", *check, "--no-cache", "."]
        result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=ONE_COMMAND_S)
        assert result.returncode == 0, result.stdout + result.stderr


def test_files_change_together_or_not_at_all(tmp_path: Path) -> None:
    changed, removed, unreachable = tmp_path / "changed", tmp_path / "removed", tmp_path / "changed" / "below_a_file"
    changed.write_text("before")
    changed.chmod(0o640)
    removed.write_text("there")
    with pytest.raises(FileExistsError):
        entity_files.apply({tmp_path / "folder/new": b"1", changed: b"after", removed: None, unreachable: b"2"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"changed": "before", "removed": "there"}

    entity_files.apply({tmp_path / "folder/new": b"1", changed: b"after", removed: None})
    assert {path.name: path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == {"changed": "after", "new": "1"}
    assert changed.stat().st_mode & 0o777 == 0o640


# --- the command, in a copy of the project ----------------------------------------------------------------------------


class Copy:
    """A copy of the project, on a database of its own on the servers of this run."""

    def __init__(self, root: Path, database: str) -> None:
        """Copy what the project is made of."""
        self.root = root
        root.mkdir()
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, root / part, ignore=shutil.ignore_patterns(*CACHES))
            else:
                shutil.copy2(source, root / part)
        if (ROOT / TYPES).is_dir():  # what mypy has found out about unchanged files in `make check`; it compares their digests
            shutil.copytree(ROOT / TYPES, root / TYPES)
        (root / ".venv").symlink_to(sys.prefix)
        (root / "tmp").mkdir()
        create_database(database)
        settings = {**settings_of_this_run(), "DB__NAME": database, "TMPDIR": str(root / "tmp")}
        environment = command_environment(root / ".local", **settings)
        self.environment = {name: value for name, value in environment.items() if not name.startswith(("PYTEST_", "PYTHON"))}

    def run(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program with the interpreter of this run."""
        command = [sys.executable, *words]
        return subprocess.run(
            command, cwd=cwd or self.root, env=self.environment, capture_output=True, text=True, check=False, timeout=ONE_COMMAND_S
        )

    def succeeds(self, *words: str) -> str:
        """Run a program that must succeed; return its output."""
        result = self.run(*words)
        assert result.returncode == 0, f"{words}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def new_entity(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command from another directory."""
        return self.run(str(self.root / "main.py"), "new-entity", *words, cwd=self.root.parent)

    def tree(self) -> dict[str, str]:
        """Return the digest of every file, without caches."""
        return {
            str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.root.rglob("*")
            if path.is_file() and not CACHES & set(path.relative_to(self.root).parts)
        }

    def traces(self) -> list[Path]:
        """Return everything that is named after the new entity, compiled files included, but not the caches of tools."""
        tools = CACHES - {"__pycache__"}
        return [path for path in self.root.rglob(f"*{TABLE}*") if not tools & set(path.relative_to(self.root).parts)]


@pytest.fixture
def copy(tmp_path: Path, worker_id: str) -> Iterator[Copy]:
    """Return a copy of the project; it goes away at once, being large, and so do servers that its own tests have left."""
    copy = Copy(tmp_path / "copy", f"new_entity_{worker_id}")
    yield copy
    for directory in (copy.root / "tmp").glob("frankenjet-tests-*"):
        remove_local(directory)
    shutil.rmtree(copy.root)


def test_an_entity_comes_passes_every_check_and_goes(copy: Copy) -> None:
    before = copy.tree()
    created = copy.new_entity(NAME)
    assert (created.returncode, created.stderr) == (0, "")
    assert len(created.stdout.splitlines()) <= 8
    folder = f"fastapi_application/encyclopedia/{NAME}"
    (migration,) = (path for path in copy.tree() if re.fullmatch(rf"alembic/versions/[0-9]{{8}}_[0-9a-f]+_{NAME}\.py", path))
    new = {migration, f"tests/factories/{NAME}.py"} | {f"{folder}/{name}.py" for name in entity_files.MODULES}
    after = copy.tree()
    assert set(after) - set(before) == new
    assert {path for path in before if before[path] != after[path]} == {"fastapi_application/encyclopedia/__init__.py"}

    tests = copy.succeeds("-m", "pytest", "tests/contract", "-k", NAME, "-q", "-p", "no:cacheprovider")
    assert re.search(r"\b[1-9][0-9]* passed", tests)

    checked = (folder, "fastapi_application/encyclopedia/__init__.py", f"tests/factories/{NAME}.py")
    copy.succeeds("-m", "ruff", "check", "--no-cache", *checked, migration)
    copy.succeeds("-m", "ruff", "format", "--check", "--no-cache", *checked, migration)
    copy.succeeds("-m", "mypy", "--cache-dir", str(copy.root / TYPES), *checked)
    copy.succeeds("-c", "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())")
    lint = subprocess.run(["/bin/sh", "scripts/lint_migrations.sh"], cwd=copy.root, capture_output=True, text=True, check=False)
    assert lint.returncode == 0, lint.stdout + lint.stderr

    copy.succeeds("main.py", "migrate")
    copy.succeeds("-m", "alembic", "check")
    removed = copy.new_entity(NAME, "--remove")
    assert removed.returncode == 0, removed.stderr
    assert "Stepped the database back" in removed.stdout
    assert copy.tree() == before
    assert copy.traces() == []
    copy.succeeds("-m", "alembic", "check")


def test_only_what_is_as_it_was_written_is_removed(copy: Copy) -> None:
    def refused(name: str, *words: str) -> None:
        assert_fails_in_one_sentence(copy.new_entity(name, "--remove"), *words)
        assert copy.tree() == present

    present = copy.tree()
    refused("aircraft", "`aircraft` was not written by this command")
    refused(NAME, f"no entity `{NAME}`")

    assert copy.new_entity(NAME).returncode == 0
    present = copy.tree()
    models = copy.root / f"fastapi_application/encyclopedia/{NAME}/models.py"
    as_written = models.read_text()
    models.write_text(as_written + "# mine\n")
    present = copy.tree()
    refused(NAME, "changed since", "by hand")
    models.write_text(as_written)

    mine = models.with_name("repository.py")
    mine.write_text('"""Mine."""\n')
    present = copy.tree()
    refused(NAME, "changed since", "by hand")
    mine.unlink()

    schemas = copy.root / "fastapi_application/crud/schemas.py"
    reference = f'PlaceholderRef = Annotated[str, RefersTo("{NAME}")]\n'
    schemas.write_text(schemas.read_text() + reference)
    present = copy.tree()
    refused(NAME, f"crud/schemas.py uses `{NAME}`")
    schemas.write_text(schemas.read_text().removesuffix(reference))

    (migration,) = (copy.root / "alembic/versions").glob(f"*_{NAME}.py")
    revision = migration.name.split("_")[1]
    later = f'revision = "ffff"\ndown_revision = "{revision}"\n'
    migration.with_name("20991231_ffff_later.py").write_text(later)
    present = copy.tree()
    refused(NAME, "Another migration builds on", migration.name)


def test_entries_are_not_deleted_unasked(copy: Copy) -> None:
    before = copy.tree()
    assert copy.new_entity(NAME).returncode == 0
    copy.succeeds("main.py", "migrate")
    present = copy.tree()
    insert = """
import asyncio
from sqlalchemy import text
from fastapi_application.core.config import get_settings
from fastapi_application.core.db import create_engine

async def insert():
    engine = create_engine(get_settings().db)
    async with engine.begin() as connection:
        await connection.execute(text(
            "INSERT INTO placeholder (id, slug, name, sources, version) VALUES (gen_random_uuid(), 'one', 'One', '[]', 1)"
        ))
        await connection.execute(text("INSERT INTO entity_slug SELECT 'placeholders', slug, id FROM placeholder"))
    await engine.dispose()

asyncio.run(insert())
"""
    copy.succeeds("-c", insert)
    refusal = copy.new_entity(NAME, "--remove")
    assert_fails_in_one_sentence(refusal, f"`{TABLE}` has entries", "migrate --revision")
    assert copy.tree() == present
    revision = refusal.stderr.partition("--revision ")[2].partition("`")[0]
    copy.succeeds("main.py", "migrate", "--revision", revision)
    assert copy.new_entity(NAME, "--remove").returncode == 0
    assert copy.tree() == before

    # The slugs went with the table: the same entity can come again, with the same entry.
    assert copy.new_entity(NAME).returncode == 0
    copy.succeeds("main.py", "migrate")
    copy.succeeds("-c", insert)

    # A database that does not answer keeps nobody from removing the files.
    copy.environment |= {"DB__HOST": "127.0.0.1", "DB__PORT": "1"}
    removed = copy.new_entity(NAME, "--remove")
    assert removed.returncode == 0, removed.stderr
    assert "was not stepped back" in removed.stdout
    assert copy.tree() == before
