"""The log files of the servers: one each, kept from growing without end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fastapi_application.local.account import Account

_LARGEST = 10 * 2**20


@contextmanager
def open_log(path: Path, owner: Account) -> Iterator[tuple[IO[bytes], int]]:
    """Open for appending; also give the position from which new lines start."""
    if path.exists() and path.stat().st_size > _LARGEST:
        path.replace(path.with_name(f"{path.name}.1"))
    new = not path.exists()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "ab") as file:
        if new:
            owner.own(path)
        yield file, file.seek(0, os.SEEK_END)
