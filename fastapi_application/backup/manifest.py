"""The manifest: what a backup holds. It is written last, so a backup without one is not complete."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from fastapi_application.backup.errors import BackupError

FORMAT = 1
NAME = "manifest.json"
DUMP = "database.dump"
IMAGES = "images/"
SEALED = ".sealed"
"""Ends the name of an encrypted object."""


_IDENTIFIER = r'(?:[a-z_][a-z0-9_$]*|"(?:[^"\x00$]|"")+")'
type TableName = Annotated[str, StringConstraints(pattern=rf"^{_IDENTIFIER}\.{_IDENTIFIER}$")]
"""With its schema, quoted where needed: a restore puts it into a statement."""
type Digest = Annotated[str, StringConstraints(pattern=r"^\d+:-?\d+:-?\d+$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Part(_Frozen):
    """An object of the backup: size in bytes and SHA-256 of its content, before encryption."""

    name: str
    size: int
    sha256: str


class Manifest(_Frozen):
    """Everything that a restore checks."""

    format: Literal[1]
    application: str
    created_at: datetime
    schema_revisions: list[str]
    postgresql: int
    """Major version of the server."""
    dumped_by: int
    """Major version of pg_dump."""
    tables: dict[TableName, Digest]
    """Of each table: number of rows and digest of their contents; see `digests`."""
    parts: list[Part]

    @property
    def images(self) -> list[Part]:
        """The parts that are images."""
        return [part for part in self.parts if part.name.startswith(IMAGES)]

    def summary(self) -> str:
        """Say how much it is."""
        rows = sum(int(digest.partition(":")[0]) for digest in self.tables.values())
        size = sum(part.size for part in self.parts) / 1e6
        return f"{len(self.tables)} tables with {rows} rows and {len(self.images)} images, {size:.1f} MB"


def parse_manifest(data: bytes, place: str) -> Manifest:
    """Read a manifest.

    Raises:
        BackupError: it is damaged, or of a later format.

    """
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        if any(item["loc"] == ("format",) for item in error.errors()):
            raise BackupError(f"The backup in {place} has a format that this version does not know: use a newer one.") from None
        raise BackupError(f"The manifest of the backup in {place} is damaged.") from None
