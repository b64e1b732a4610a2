"""Where PostgreSQL's files live: under LOCAL__DIR, or elsewhere when its user cannot get there.

Run by root, PostgreSQL works as another user. A clone in /root or in a private temporary directory
is closed to that user, and opening the parent folders would open them to everybody. The files then
go to a directory below /var/lib, and LOCAL__DIR/postgres is a link to it.
"""

import logging
import shutil
from contextlib import suppress
from pathlib import Path

from fastapi_application.local.account import Account, ourselves
from fastapi_application.local.directories import make_private, short_name, write_private
from fastapi_application.local.errors import LocalServerError

SHARED_PLACES = (Path("/var/lib/frankenjet"), Path("/var/tmp/frankenjet"))  # noqa: S108 - ours and checked
_NOTE = "belongs-to"

logger = logging.getLogger(__name__)


def home_of(directory: Path, account: Account, us: Account) -> Path:
    """Return the directory that holds `data` and perhaps a copy of the programs, making it."""
    inside = directory / "postgres"
    if inside.is_symlink():
        if (linked := _linked(inside, directory)) is not None:
            return linked
        inside.unlink()
    if not account.switched:
        return make_private(inside, us)
    if account.can_enter(directory):
        return make_private(inside, us, 0o711)
    return _outside(directory, inside)


def remove_home(directory: Path) -> None:
    """Delete PostgreSQL's files, wherever they are."""
    inside = directory / "postgres"
    if not inside.is_symlink():
        shutil.rmtree(inside, ignore_errors=True)
        return
    target = inside.readlink()
    if target.parent in SHARED_PLACES and _is_ours(target, directory):
        shutil.rmtree(target)
        with suppress(OSError):  # others still have files there
            target.parent.rmdir()
    inside.unlink()


def _linked(inside: Path, directory: Path) -> Path | None:
    """Follow the link, unless the files belong to the clone that this one was copied from."""
    target = inside.readlink()
    if not target.is_dir():
        return None
    if _is_ours(target, directory):
        write_private(target / _NOTE, f"{directory}\n")
        return target
    return None


def _is_ours(target: Path, directory: Path) -> bool:
    try:
        named = Path((target / _NOTE).read_text().strip())
    except FileNotFoundError:
        return True
    # A clone that was moved takes its files along; one that was copied starts its own.
    return named == directory or not (named / "postgres").is_symlink()


def _outside(directory: Path, inside: Path) -> Path:
    if inside.exists():
        raise LocalServerError(
            f"The user that PostgreSQL runs as can no longer reach its files in {inside}: "
            f"move {directory} to where others may enter, or remove {inside} to start with an empty database."
        )
    target = _shared_place() / short_name(directory)
    inside.symlink_to(target)
    if target.exists():
        # No link led here, so the clone that these files belonged to is gone.
        left = target.with_name(f"{target.name}.left")
        shutil.rmtree(left, ignore_errors=True)
        target.rename(left)
        logger.warning("The database of a removed clone was set aside: %s", left)
    make_private(target, ourselves(), 0o711)
    write_private(target / _NOTE, f"{directory}\n")
    return target


def _shared_place() -> Path:
    for place in SHARED_PLACES:
        try:
            return make_private(place, ourselves(), 0o711)
        except OSError:
            continue
    raise LocalServerError(
        f"PostgreSQL needs a directory that its user can reach, and {SHARED_PLACES[0]} cannot be made: "
        "set LOCAL__DIR to a directory that others may enter."
    )
