"""What went wrong with a local server, in one sentence for a person."""

import errno
from pathlib import Path

_LOG_TAIL_BYTES = 4096


class LocalServerError(Exception):
    """A local server cannot be used; the text is one sentence that says why and what to do."""


def from_os_error(error: OSError, directory: Path) -> LocalServerError:
    """Turn a failed file operation or program start into a sentence."""
    place = error.filename or directory
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return LocalServerError(f"There is no disk space left for the local servers ({place}).")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return LocalServerError(
            f"The local servers may not use {place} ({error.strerror}): it belongs to somebody else; "
            "set LOCAL__DIR to a directory of your own, or give this one to yourself."
        )
    if error.errno == errno.ENOEXEC:
        return LocalServerError(f"The program {place} is not built for this machine.")
    return LocalServerError(f"The local servers cannot be started: {error.strerror} ({place}).")


def from_failed_start(server: str, log: Path, since: int, outcome: str) -> LocalServerError:
    """Explain a server that did not come up by what it wrote to `log` after byte `since`."""
    lines = _tail(log, since)
    if any("No space left on device" in line for line in lines):
        return LocalServerError(f"There is no disk space left for the local {server} ({log.parent}).")
    telling = [line for line in lines if "FATAL" in line or "rror" in line or " # " in line] or lines
    last = f' Its last words: "{telling[-1].strip()}".' if telling else ""
    return LocalServerError(f"The local {server} {outcome}; see {log}.{last}")


def _tail(log: Path, since: int) -> list[str]:
    try:
        with log.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(since if since <= end else 0, end - _LOG_TAIL_BYTES))
            return [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return []
