"""DB__MIGRATION_URL: commands go past PgBouncer, and in as another role."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import URL

from fastapi_application.core.config import get_settings
from tests.support.commands import assert_fails_in_one_sentence, command_environment, free_port, run_command, settings_of_this_run
from tests.support.seeded import connection_to
from tests.support.servers import create_database, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BACKUP = ("backup", "--to", "backup")
PASSWORD = "of the owner"


@pytest.mark.parametrize("words", [BACKUP, ("migrate",)], ids=["backup", "migrate"])
def test_a_pooler_is_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    env = command_environment(tmp_path / "local", DB__HOST="127.0.0.1", DB__PORT="1", DB__PGBOUNCER="true")
    assert_fails_in_one_sentence(run_command(*words, env=env), "PgBouncer", "DB__MIGRATION_URL", "DB__HOST")


@pytest.mark.parametrize("words", [BACKUP, ("migrate",), ("seed",)], ids=["backup", "migrate", "seed"])
def test_commands_go_where_it_leads(words: tuple[str, ...], database: str, tmp_path: Path) -> None:
    port = free_port()
    url = f"postgresql://owner@127.0.0.1:{port}/frankenjet"
    env = command_environment(tmp_path / "local", **{**settings_of_this_run(), "DB__PGBOUNCER": "true", "DB__MIGRATION_URL": url})
    assert_fails_in_one_sentence(run_command(*words, env=env), f"127.0.0.1:{port}", "DB__MIGRATION_URL")


@contextmanager
def owned_database(name: str) -> Iterator[str]:
    """Create a database that a role of its own owns, whose time-outs are not for commands; yield the role."""
    owner = f"owner_of_{name}"
    create_database(name)
    hurried = f"ALTER ROLE {owner} SET statement_timeout = '1ms'"
    run(_execute(f"CREATE ROLE {owner} LOGIN PASSWORD '{PASSWORD}'", hurried, f"ALTER DATABASE {name} OWNER TO {owner}"))
    try:
        yield owner
    finally:
        run(_execute(f"DROP DATABASE {name} WITH (FORCE)", f"DROP ROLE {owner}"))


async def _execute(*statements: str) -> None:
    async with connection_to("postgres") as connection:
        for statement in statements:
            await connection.execute(statement)


async def _owners(name: str) -> set[str]:
    async with connection_to(name) as connection:
        return {row[0] for row in await connection.fetch("SELECT tableowner FROM pg_tables WHERE schemaname = 'public'")}


def test_commands_work_as_the_role_that_owns_the_schema(database: str, worker_id: str, tmp_path: Path) -> None:
    """The application's own settings lead nowhere, and through PgBouncer."""
    server, name = get_settings().db, f"migrated_{worker_id}"
    with owned_database(name) as owner:
        socket = {"host": str(server.host), "port": str(server.port)}
        url = URL.create("postgresql", owner, PASSWORD, database=name, query=socket).render_as_string(hide_password=False)
        env = command_environment(tmp_path / "local", DB__HOST="127.0.0.1", DB__PORT="1", DB__PGBOUNCER="true", DB__MIGRATION_URL=url)
        migrated = run_command("migrate", env=env)
        assert migrated.returncode == 0, migrated.stderr
        saved = run_command("backup", "--to", str(tmp_path / "backup"), env=env)
        assert saved.returncode == 0, saved.stderr
        assert run(_owners(name)) == {owner}
