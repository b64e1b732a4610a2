"""Writes a dump: one consistent state of the database, in an order that does not depend on chance."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, cast, text

from fastapi_application.transfer.files import AUTHORS, MANIFEST, DumpedFile, Manifest, make_empty
from fastapi_application.transfer.tables import authors, columns, rows, tables

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncSession

ROWS_AT_ONCE = 500
AUTHOR_COLUMNS = ["id", "display_name"]


class DumpService:
    """Reads everything in one snapshot."""

    def __init__(self, session: AsyncSession) -> None:
        """Bind the service to the session of its action."""
        self.session = session

    async def dump(self, directory: Path, *, everything: bool) -> Manifest:
        """Write the files; the manifest comes last, so that half a dump is none.

        Raises:
            TransferError: the directory is not empty.

        """
        # Of all tables the same moment, however long the reading takes.
        await self.session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        make_empty(directory)
        files = [await self._write(directory, AUTHORS, AUTHOR_COLUMNS, authors(everything=everything))]
        for table in tables(everything=everything):
            names = [column.name for column in columns(table)]
            files.append(await self._write(directory, table.name, names, rows(table, everything=everything)))
        version = (await self.session.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()
        manifest = Manifest(schema_version=version, everything=everything, files=files)
        (directory / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
        return manifest

    async def _write(self, directory: Path, table: str, names: list[str], query: Select[Any]) -> DumpedFile:
        file = DumpedFile(table=table, columns=names, count=0, sha256="0" * 64)
        digest = hashlib.sha256()
        (column,) = query.selected_columns
        found = await self.session.stream_scalars(query.with_only_columns(cast(column, Text)).execution_options(yield_per=ROWS_AT_ONCE))
        with (directory / file.name).open("wb") as output:
            async for row in found:
                # A line break between the members of stored JSON is blank space; inside a string it is written as \n.
                line = row.replace("\n", " ").encode() + b"\n"
                digest.update(line)
                output.write(line)
                file.count += 1
        file.sha256 = digest.hexdigest()
        return file
