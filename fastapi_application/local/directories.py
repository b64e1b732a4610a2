"""Private directories, small secret files and the short place for the Unix sockets."""

import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from fastapi_application.local.account import Account
from fastapi_application.local.errors import LocalServerError

_LONGEST_SOCKET_DIRECTORY = 80
"""Bytes. sun_path holds 104 (macOS) to 108 (Linux), and PostgreSQL adds `/p/.s.PGSQL.5432`."""


def short_name(directory: Path) -> str:
    """A name for what belongs to `directory` but must lie elsewhere."""
    return hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]


def make_private(path: Path, owner: Account, mode: int = 0o700) -> Path:
    """Create a directory of `owner` if it is not there; refuse one of somebody else."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
        owner.own(path)
        path.chmod(mode)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner.uid:
        raise LocalServerError(f"{path} is not a directory of ours (somebody else made it): remove it and start again.")
    path.chmod(mode)
    return path


def write_private(path: Path, text: str, owner: Account | None = None) -> None:
    """Write a 0600 file in one step, so that an interruption never leaves half of it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        if owner is not None:
            owner.own(Path(name))
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_secret(path: Path) -> str | None:
    """The secret, or none when there is no such file."""
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LocalServerError(f"The password file {path} cannot be read: {error}.") from error


def make_secret(path: Path, owner: Account) -> str:
    """Write a new random secret."""
    secret = secrets.token_hex(24)
    write_private(path, secret + "\n", owner)
    return secret


def need_space(directory: Path, megabytes: int) -> None:
    """Say it before a server fails half way with something less clear."""
    free = shutil.disk_usage(directory).free // 2**20
    if free < megabytes:
        raise LocalServerError(
            f"There is not enough disk space for the local servers: {free} MB free at {directory}, {megabytes} MB needed."
        )


class Sockets:
    """The short directory for the sockets of both servers: `p` is PostgreSQL's, `r` is Redis's.

    Its place depends on the environment (TMPDIR), so a link in the local directory tells the
    processes that come later.
    """

    def __init__(self, directory: Path, us: Account) -> None:
        """Choose nothing yet: `us` is the owner of everything but PostgreSQL's subdirectory."""
        self._us = us
        self._name = f"frankenjet-{us.uid}-{short_name(directory)}"
        self.link = directory / "sockets"

    def fresh(self, name: str, owner: Account) -> Path:
        """An empty subdirectory for a server that is about to start."""
        path = self._base(owner) / name
        if path.is_symlink():
            path.unlink()
        shutil.rmtree(path, ignore_errors=True)
        return make_private(path, owner)

    def current(self, name: str) -> Path:
        """The subdirectory that a running server should be listening in."""
        return (self.link.readlink() if self.link.is_symlink() else self.link) / name

    def remove(self) -> None:
        """Leave nothing behind once both servers have stopped."""
        if self.link.is_symlink() and self.link.readlink().name == self._name:
            shutil.rmtree(self.link.readlink(), ignore_errors=True)
            self.link.unlink(missing_ok=True)

    def _base(self, owner: Account) -> Path:
        mode = 0o711 if owner.switched else 0o700
        # A link with another name came along when the local directory was copied: not ours to empty.
        base = self.link.readlink() if self.link.is_symlink() else self.link
        if base.name == self._name and base.is_dir():
            return make_private(base, self._us, base.lstat().st_mode & 0o011 | mode)
        for parent in self._candidates():
            path = parent / self._name
            if len(os.fsencode(path)) <= _LONGEST_SOCKET_DIRECTORY and os.access(parent, os.W_OK):
                if not owner.can_enter(parent):
                    continue
                base = make_private(path, self._us, mode)
                self.link.unlink(missing_ok=True)
                self.link.symlink_to(base)
                return base
        raise LocalServerError("There is no short writable directory for the Unix sockets: set TMPDIR to one.")

    @staticmethod
    def _candidates() -> list[Path]:
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        places = [tempfile.gettempdir(), "/tmp", *([runtime] if runtime else [])]  # noqa: S108 - made private above
        return [Path(place) for place in places if Path(place).is_dir()]
