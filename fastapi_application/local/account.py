"""The operating system user that PostgreSQL runs as: it refuses to run as root."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fastapi_application.local.errors import LocalServerError

UNPRIVILEGED = ("postgres", "nobody")
"""Tried in this order; we never create a user on somebody's machine."""


@dataclass(frozen=True)
class Account:
    """Who a server runs as. `switched` is true when that is not the user we are."""

    uid: int
    gid: int
    switched: bool

    def spawn(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        output: int | IO[bytes] = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start a program as this account.

        It gets a session of its own, because a terminal's Ctrl-C must reach only us; none of our
        file descriptors, because an inherited lock would never be released; and a bare
        environment, because PGDATA or LC_ALL of the user's shell must not change what it does.
        """
        return subprocess.Popen(
            [os.fspath(word) for word in command],
            cwd=cwd,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            umask=0o077,
            start_new_session=True,
            user=self.uid if self.switched else None,
            group=self.gid if self.switched else None,
            extra_groups=[] if self.switched else None,
        )

    def can_enter(self, directory: Path) -> bool:
        """Try it, as access lists and security modules know more than the mode bits."""
        if not self.switched:
            return os.access(directory, os.X_OK)
        return self.spawn(["/bin/sh", "-c", 'cd -- "$1"', "sh", directory], cwd=Path("/")).wait() == 0

    def can_run(self, program: Path) -> bool:
        """Whether the account reaches the program and the libraries that it is linked to."""
        try:
            return self.spawn([program, "--version"], cwd=Path("/")).wait() == 0
        except OSError:
            return False

    def own(self, path: Path) -> None:
        """Give one new file or directory to the account."""
        if self.switched:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def ourselves() -> Account:
    """The user that this process runs as."""
    return Account(os.geteuid(), os.getegid(), switched=False)


def account_for(data: Path, us: Account) -> Account:
    """The owner of an existing data directory, else us, else (as root) an unprivileged user."""
    if us.uid != 0:
        return us
    if data.is_dir() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid, switched=True)
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, switched=True)
    raise LocalServerError(
        "PostgreSQL does not run as root and this machine has neither a user postgres nor a user nobody: "
        "run as an ordinary user, or set DB__HOST to a server of your own."
    )
