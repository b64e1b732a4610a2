"""Reads a dump into an empty database, and writes the history that every writer writes."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from alembic.script import ScriptDirectory
from sqlalchemy import Table, exists, select, text, true

from fastapi_application.accounts.passwords import hash_password
from fastapi_application.core.schema_version import alembic_config
from fastapi_application.crud.cache_outbox import forget_everything
from fastapi_application.crud.history.changes import PublicChange, announce
from fastapi_application.crud.service import EntityService
from fastapi_application.transfer.files import AUTHORS, DumpedFile, Manifest, TransferError, batches, check_files, read_manifest
from fastapi_application.transfer.tables import NOT_PUBLIC, columns, tables

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncSession

# Accounts that cannot log in: a dump has names of authors, neither addresses nor passwords.
_AUTHORS = text("""
    INSERT INTO "user" (id, email, hashed_password, display_name, is_active)
    SELECT (line->>'id')::uuid, (line->>'id') || '@author.invalid', :password, line->>'display_name', false FROM loaded
    ON CONFLICT DO NOTHING
""")

_STAGE = text("INSERT INTO loaded SELECT CAST(line AS json) FROM unnest(CAST(:lines AS text[])) AS line")


class LoadService:
    """Fills an empty encyclopedia."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the service to the session of its action."""
        self.session = session

    async def load(self, directory: Path) -> Manifest:
        """Load a dump: everything or nothing.

        Raises:
            TransferError: the dump is damaged or of a newer schema, or the database is not empty.

        """
        manifest = read_manifest(directory)
        check_files(directory, manifest)
        await self._check_version(manifest)
        known = {table.name: table for table in tables(everything=True)}
        await self._check_tables(manifest, known)
        await self.session.execute(text("CREATE TEMPORARY TABLE loaded (line json) ON COMMIT DROP"))
        for file in sorted(manifest.files, key=lambda file: [AUTHORS, *known].index(file.table)):
            await self._stage(directory, file)
            if file.table == AUTHORS:
                await self.session.execute(_AUTHORS, {"password": await hash_password(secrets.token_urlsafe())})
            else:
                await self.session.execute(text(_insert(known[file.table], file)))
        await forget_everything(self.session)
        await self._record(with_revisions=any(file.table in NOT_PUBLIC for file in manifest.files))
        return manifest

    async def _record(self, *, with_revisions: bool) -> None:
        """Begin the history of each entry, unless the dump has brought it, and tell the mirrors of this installation."""
        for service in EntityService.__subclasses__():
            if not with_revisions:
                await service(self.session).revisions.keep_first()
            model = service.model
            public = model.is_public(model)
            rows = select(model.id, model.slug, model.version).where(true() if public is None else public).order_by(model.id)
            for identifier, slug, version in await self.session.execute(rows):
                announce(self.session, PublicChange(model.__kind__, identifier, slug, "create", version))

    async def _check_version(self, manifest: Manifest) -> None:
        current = (await self.session.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()
        scripts = ScriptDirectory.from_config(alembic_config())
        loadable = {script.revision for script in scripts.iterate_revisions(current, "base")}
        if manifest.schema_version not in loadable:
            raise TransferError(
                f"The dump has schema {manifest.schema_version}, and this database has the older schema {current}: "
                "migrate it, with the version of the program that wrote the dump or a later one, and load again."
            )

    async def _check_tables(self, manifest: Manifest, known: dict[str, Table]) -> None:
        for file in manifest.files:
            if file.table == AUTHORS:
                continue
            table = known.get(file.table)
            if table is None or not set(file.columns) <= {column.name for column in columns(table)}:
                raise TransferError(f"The dump has a table that this version does not know: {file.table}.")
        for table in known.values():
            if await self.session.scalar(select(exists().select_from(table))):
                raise TransferError(f"The database is not empty: {table.name} has entries.")

    async def _stage(self, directory: Path, file: DumpedFile) -> None:
        await self.session.execute(text("TRUNCATE loaded"))
        for batch in batches(directory / file.name):
            await self.session.execute(_STAGE, {"lines": batch})
        count = (await self.session.execute(text("SELECT count(*) FROM loaded"))).scalar_one()
        if count != file.count:
            raise TransferError(f"{directory / file.name} has {count} lines, and the manifest says {file.count}.")


def _insert(table: Table, file: DumpedFile) -> str:
    """Return one statement for all rows: they may refer to each other."""
    names = ", ".join(f'"{name}"' for name in file.columns)
    return f'INSERT INTO "{table.name}" ({names}) SELECT {names} FROM loaded, json_populate_record(NULL::"{table.name}", line)'  # noqa: S608 - names of the schema
