"""The files of a dump: one of NDJSON for each table, and a manifest that says what must be in them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANIFEST = "manifest.json"
AUTHORS = "authors"
LINES_AT_ONCE = 500


class TransferError(Exception):
    """The dump cannot be written, or not be loaded; one sentence says why."""


class DumpedFile(BaseModel):
    """What a file holds."""

    model_config = ConfigDict(extra="forbid")

    table: Annotated[str, Field(pattern=r"^[a-z_]+$")]
    columns: list[str]
    count: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @property
    def name(self) -> str:
        """Name of the file."""
        return f"{self.table}.ndjson"


class Manifest(BaseModel):
    """What a dump holds."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    schema_version: str
    everything: bool
    files: list[DumpedFile]


def make_empty(directory: Path) -> None:
    """Make a directory, or take one that is there.

    Raises:
        TransferError: something is in it.

    """
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise TransferError(f"{directory} is not empty.")


def read_manifest(directory: Path) -> Manifest:
    """Read and check the manifest of a dump.

    Raises:
        TransferError: there is none, or it is not one.

    """
    try:
        return Manifest.model_validate_json((directory / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise TransferError(f"{directory} holds no dump: there is no {MANIFEST}.") from None
    except ValidationError:
        raise TransferError(f"{directory / MANIFEST} is not the manifest of a dump that this version reads.") from None


def check_files(directory: Path, manifest: Manifest) -> None:
    """Compare every file with the manifest.

    Raises:
        TransferError: a file is missing or differs.

    """
    for file in manifest.files:
        path = directory / file.name
        if not path.is_file():
            raise TransferError(f"{path} is missing.")
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if digest != file.sha256:
            raise TransferError(f"{path} is not what the manifest says: its SHA-256 differs.")


def batches(path: Path) -> Iterator[list[str]]:
    """Yield the lines of a file, some hundred at once."""
    batch: list[str] = []
    with path.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            batch.append(line.rstrip("\n"))
            if len(batch) == LINES_AT_ONCE:
                yield batch
                batch = []
    if batch:
        yield batch
