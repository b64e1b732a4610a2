"""`new-entity`: writes an entity that passes every contract test at once, or takes it away again.

What may be taken away is known without a marker: files that are byte for byte what would be written.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from alembic.script import ScriptDirectory
from sqlalchemy import exists, select, table, text

from alembic import command
from fastapi_application.cli import entity_files as files
from fastapi_application.cli.database import database_session
from fastapi_application.cli.entity_names import EntityNames
from fastapi_application.cli.environment import environment
from fastapi_application.cli.errors import CommandError
from fastapi_application.core.config import PROJECT_ROOT, get_settings
from fastapi_application.core.db import Base
from fastapi_application.core.schema_version import alembic_config

if TYPE_CHECKING:
    import argparse

    from alembic.script import Script

    from fastapi_application.core.config import Settings

_API = "/api/v1/"
_NEXT = """\
Wrote the entity `{name}`: table `{table}`, routes /api/v1/{kind}, {folder}/, a line in the registry,
{factory} and {migration}. Next:
  fields     change models.py and schemas.py, the factory, and the migration while no database has it
  table      main.py migrate
  tests      make test PYTEST_ARGS='-k {kind}'
  refer to   refers_to("{table}") in the other entity's models.py, and for its requests in crud/schemas.py:
             {model}Ref = Annotated[str, _REFERENCE_INPUT, RefersTo("{kind}"), _REFERENCE_SCHEMA]
  take back  main.py new-entity {name} --remove, as long as these files are as written"""


def new_entity(arguments: argparse.Namespace) -> int:
    """Write a new entity, or remove one that was written here and not changed since."""
    names = EntityNames.parse(arguments.name)
    if not files.FACTORIES.is_dir():
        raise CommandError(f"{PROJECT_ROOT} has no {files.relative(files.FACTORIES)}: this command works in the source tree.")
    (_remove if arguments.remove else _write)(names)
    return 0


# --- write --------------------------------------------------------------------------------------------------------


def _write(names: EntityNames) -> None:
    check_free(names)
    down_revision = _scripts().as_revision_number("head")
    if not isinstance(down_revision, str):
        raise CommandError("The migrations have no single head: merge them first.")
    revision = following(down_revision)
    migration = _versions() / f"{datetime.now(UTC):%Y%m%d}_{revision}_{names.name}.py"
    written = files.render(names, migration, revision, down_revision)
    registry = files.registry_with(files.REGISTRY.read_text(encoding="utf-8"), names.name)
    files.apply({**written, files.REGISTRY: registry.encode()})
    paths = {"folder": files.ENCYCLOPEDIA / names.name, "factory": files.FACTORIES / f"{names.name}.py", "migration": migration}
    shown = {key: files.relative(path) for key, path in paths.items()}
    print(_NEXT.format(name=names.name, table=names.table, kind=names.kind, model=names.model, **shown))


def check_free(names: EntityNames) -> None:
    """Check that nothing in the project has these names.

    Raises:
        CommandError: something has.

    """
    # Here, because the application is loaded only for this, and `--remove` must work where an entity does not load.
    from fastapi_application.create_fastapi_app import create_fastapi_app  # noqa: PLC0415
    from fastapi_application.crud.models import all_kinds  # noqa: PLC0415

    if names.kind in all_kinds():
        raise CommandError(f"There is an entity `{names.name}` already.")
    if names.table in Base.metadata.tables:
        raise CommandError(f"There is a table `{names.table}` already, which is where `{names.name}` would be kept.")
    if names.model in {mapper.class_.__name__ for mapper in Base.registry.mappers}:
        raise CommandError(f"There is a class `{names.model}` already.")
    paths = create_fastapi_app().openapi()["paths"]
    if any(path.removeprefix(_API).partition("/")[0] == names.kind for path in paths):
        raise CommandError(f"There are routes at {_API}{names.kind} already.")
    folder = files.ENCYCLOPEDIA / names.name
    for path in (folder.with_suffix(".py"), *(folder / f"{module}.py" for module in files.MODULES), files.FACTORIES / f"{names.name}.py"):
        if path.exists():
            raise CommandError(f"There is a file {files.relative(path)} already.")


def following(revision: str) -> str:
    """Return the next revision: the next number where they are numbered."""
    return f"{int(revision) + 1:0{len(revision)}}" if re.fullmatch("[0-9]+", revision) else uuid4().hex[:12]


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(alembic_config())


def _versions() -> Path:
    return Path(_scripts().versions)


# --- remove -------------------------------------------------------------------------------------------------------


def _remove(names: EntityNames) -> None:
    script, written = _check_ours(names)
    registry = files.registry_without(files.REGISTRY.read_text(encoding="utf-8"), names.name)
    if not script.is_head:
        raise CommandError(f"Another migration builds on {files.relative(Path(script.path))}: take that one back first.")
    _check_unused(names, written)
    _step_back(names, script)
    files.apply({files.REGISTRY: registry.encode(), **dict.fromkeys(written)})
    files.remove_caches(names, written)
    print(f"Removed the entity `{names.name}`.")


def _check_ours(names: EntityNames) -> tuple[Script, dict[Path, bytes]]:
    """Return the migration and the files, if they are as this command writes them."""
    folder = files.ENCYCLOPEDIA / names.name
    if not (folder / "__init__.py").is_file():
        raise CommandError(f"There is no entity `{names.name}`.")
    pattern = re.compile(rf"[0-9]{{8}}_[0-9a-f]+_{names.name}\.py")
    found = [script for script in _scripts().walk_revisions() if pattern.fullmatch(Path(script.path).name)]
    if len(found) == 1:
        (script,) = found
        written = files.render(names, Path(script.path), script.revision, str(script.down_revision))
        present = {path for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__"}
        if present == {path for path in written if path.parent == folder} and all(_holds(*item) for item in written.items()):
            return script, written
    raise CommandError(f"`{names.name}` was not written by this command, or has been changed since: remove it by hand.")


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _check_unused(names: EntityNames, written: dict[Path, bytes]) -> None:
    """Look for code of others that would not load any more."""
    imports = rf"^\s*(?:from|import) fastapi_application\.encyclopedia\.{names.name}\b"
    keys = rf'RefersTo\("{names.kind}"\)|(?:refers_to|links_to|owned_by)\("{names.table}"\)|"{names.table}\.id"'
    for folder, pattern in {"fastapi_application": f"{imports}|{keys}", "tests": imports}.items():
        uses = re.compile(pattern, re.MULTILINE)
        for path in sorted((PROJECT_ROOT / folder).rglob("*.py")):
            if path not in written and path != files.REGISTRY and uses.search(path.read_text(encoding="utf-8")):
                raise CommandError(f"{files.relative(path)} uses `{names.name}`: take that out first.")


def _step_back(names: EntityNames, script: Script) -> None:
    """Undo the migration in the database of the settings, or in the embedded one if there is any.

    Raises:
        CommandError: the table has entries, which this command does not delete.

    """
    settings = get_settings()
    if not settings.db.is_configured and not (settings.local.dir / "postgres").is_dir():
        return
    with environment(redis=False) as settings:
        try:
            applied, filled = asyncio.run(_state(settings, names.table, script.revision))
        except CommandError as error:
            print(f"{error} If that database has migration {script.revision}, it was not stepped back.")
            return
        if filled:
            raise CommandError(
                f"The table `{names.table}` has entries: first drop them with `main.py migrate --revision {script.down_revision}`."
            )
        if applied:
            command.downgrade(alembic_config(), str(script.down_revision))
            print(f"Stepped the database back to {script.down_revision}.")


async def _state(settings: Settings, name: str, revision: str) -> tuple[bool, bool]:
    """Return whether the migration was applied, and whether the table has rows."""
    async with database_session(settings) as session:
        if await session.scalar(text("SELECT to_regclass('alembic_version') IS NULL")):
            return False, False
        applied = revision in await session.scalars(text("SELECT version_num FROM alembic_version"))
        return applied, applied and bool(await session.scalar(select(exists(select(1).select_from(table(name))))))
