"""The encyclopedia as files and back: nothing is lost, nothing private leaves, nothing damaged enters."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.cli.run import run as main
from tests.support.seeded import connection_to, create_seeded_database, current_database
from tests.support.servers import create_database, migrate, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "unpublished-by-anybody"
_DRAFT = f"""
    INSERT INTO "user" (id, email, hashed_password, display_name)
    VALUES ('00000000-0000-4000-8000-00000000000a', 'author@example.org', 'x', 'An Author');
    INSERT INTO article (id, slug, title, category, language, keywords, sources, status, version, created_by)
    VALUES ('00000000-0000-4000-8000-00000000000b', '{SECRET}', '{SECRET}', 'event', 'en', '{{}}', '[]', 'draft', 1,
        '00000000-0000-4000-8000-00000000000a');
    INSERT INTO entity_slug VALUES ('articles', '{SECRET}', '00000000-0000-4000-8000-00000000000b');
    INSERT INTO article_aircraft (article_id, aircraft_id, position)
    SELECT '00000000-0000-4000-8000-00000000000b', id, 0 FROM aircraft WHERE slug = 'concorde';
    UPDATE article SET translation_of_id = '00000000-0000-4000-8000-00000000000b' WHERE slug = 'concorde';
    UPDATE article SET pending_number = 2, pending_status = 'draft', rejection = '{SECRET}' WHERE slug = 'f-15-streak-eagle';
    UPDATE tag SET updated_by = '00000000-0000-4000-8000-00000000000a' WHERE slug = 'france'
"""  # noqa: S608 - a constant


async def execute(database: str, statement: str) -> None:
    """Run SQL on a database."""
    async with connection_to(database) as connection:
        await connection.execute(statement)


@pytest.fixture(scope="module")
def source(servers: None, worker_id: str) -> str:
    """Return a database with the starter encyclopedia, a draft and an author."""
    name = f"dump_{worker_id}"
    create_seeded_database(name)
    run(execute(name, _DRAFT))
    return name


@pytest.fixture
def target(servers: None, worker_id: str) -> Iterator[str]:
    """Return an empty database, and let commands work on it."""
    name = f"load_{worker_id}"
    create_database(name)
    with current_database(name):
        migrate()
        yield name


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return a way to run a command on the database of the settings."""
    monkeypatch.setattr("fastapi_application.cli.environment.configure_logging", lambda _: None)  # the log is pytest's here
    return lambda *words: main([str(word) for word in words])


def contents(directory: Path) -> dict[str, bytes]:
    """Return what the files of a dump hold."""
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


@pytest.mark.parametrize("options", [[], ["--all"]], ids=["public", "all"])
def test_a_dump_that_is_loaded_is_dumped_again_byte_by_byte(
    options: list[str], source: str, target: str, command: Callable[..., int], tmp_path: Path
) -> None:
    with current_database(source):
        assert command("dump", "--to", tmp_path / "first", *options) == 0
    assert command("load", "--from", tmp_path / "first") == 0
    assert command("dump", "--to", tmp_path / "second", *options) == 0
    first = contents(tmp_path / "first")
    assert contents(tmp_path / "second") == first
    text = b"".join(first.values()).decode()
    assert (SECRET in text) is bool(options)
    assert "author@example.org" not in text
    assert '"display_name":"An Author"' in text
    manifest = json.loads(first["manifest.json"])
    assert {f"{file['table']}.ndjson" for file in manifest["files"]} == set(first) - {"manifest.json"}
    for file in manifest["files"]:
        content = first[f"{file['table']}.ndjson"]
        assert (file["sha256"], file["count"]) == (hashlib.sha256(content).hexdigest(), content.count(b"\n"))
    assert {file["table"]: file["count"] for file in manifest["files"]}["aircraft"] == 291
    assert run(found(target)) == 291


def test_what_was_loaded_has_a_history_and_is_told_to_mirrors(
    source: str, target: str, command: Callable[..., int], tmp_path: Path
) -> None:
    with current_database(source):
        assert command("dump", "--to", tmp_path / "dump") == 0
    assert command("load", "--from", tmp_path / "dump") == 0
    assert run(history(target)) == run(history(source))


async def history(database: str) -> dict[str, Any]:
    """Return what revisions say of the entries that nobody has changed beside the service, and what mirrors are told."""
    async with connection_to(database) as connection:
        revisions = await connection.fetch("""
            SELECT kind, entity_id, number, action, actor_id, at, document::text, state::text, is_live, is_public FROM revision
            WHERE kind NOT IN ('articles', 'tags') ORDER BY entity_id, number""")
        changes = await connection.fetch("SELECT kind, entity_id, slug, version FROM change WHERE action = 'create' ORDER BY entity_id")
        assert len(revisions) > 1000
        return {"revisions": [dict(row) for row in revisions], "changes": [dict(row) for row in changes]}


async def found(database: str) -> Any:
    """Count the aircraft that search knows."""
    async with connection_to(database) as connection:
        return await connection.fetchval("SELECT count(*) FROM search_document WHERE kind = 'aircraft'")


@pytest.fixture
def dumped(source: str, command: Callable[..., int], tmp_path: Path) -> Path:
    """Return a dump."""
    with current_database(source):
        assert command("dump", "--to", tmp_path / "dump") == 0
    return tmp_path / "dump"


def test_a_damaged_or_newer_dump_is_refused(
    dumped: Path, target: str, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = dumped / "manifest.json"
    whole, tags = manifest.read_text(), (dumped / "tag.ndjson").read_bytes()

    def refused(sentence: str) -> None:
        capsys.readouterr()
        assert command("load", "--from", dumped) == 1
        assert sentence in capsys.readouterr().err
        assert run(found(target)) == 0

    (dumped / "tag.ndjson").write_bytes(tags[:-2] + b"x\n")
    refused("differs")
    (dumped / "tag.ndjson").unlink()
    refused("missing")
    (dumped / "tag.ndjson").write_bytes(tags)
    document = json.loads(whole)
    manifest.write_text(json.dumps({**document, "schema_version": "9999"}))
    refused("older schema")
    manifest.write_text(json.dumps({**document, "files": [*document["files"], {**document["files"][0], "table": "user"}]}))
    refused("user.ndjson is missing")
    (dumped / "user.ndjson").write_bytes((dumped / "authors.ndjson").read_bytes())
    refused("does not know")
    manifest.write_text("{}")
    refused("not the manifest")
    manifest.unlink()
    refused("holds no dump")


def test_only_an_empty_place_is_filled(dumped: Path, source: str, command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    with current_database(source):
        assert command("load", "--from", dumped) == 1
        assert "not empty" in capsys.readouterr().err
        assert command("dump", "--to", dumped) == 1
        assert "not empty" in capsys.readouterr().err
