"""Starting, sharing and stopping the local servers: whoever leaves last turns off the light."""

import fcntl
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Never

from fastapi_application.local.account import Account, ourselves
from fastapi_application.local.directories import Sockets
from fastapi_application.local.errors import LocalServerError, from_os_error
from fastapi_application.local.home import remove_home
from fastapi_application.local.postgres import Postgres
from fastapi_application.local.redis_server import Redis

_MUTEX_S = 150
"""Longer than a first start of both may take in another process."""
_ENDINGS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


@contextmanager
def local_servers(directory: Path, *, postgres: bool, redis: bool) -> Iterator[dict[str, str]]:
    """Run what is asked for while the block runs; yield the settings that lead to it.

    Running servers of the same directory are joined. Whichever process leaves last stops all of
    them, so a command in a second terminal never takes the servers from under the first. A process
    that was killed leaves them running; the next one joins and later stops them.

    Raises:
        LocalServerError: with one sentence for a person.

    """
    if not (postgres or redis):
        yield {}
        return
    with _endings_as_exit(), ExitStack() as stack:
        with _as_sentences(directory):
            home = _Shared(_made(directory))
            stack.callback(_leave, home)
            with home.mutex():
                home.join()
                settings = home.ensure(postgres=postgres, redis=redis)
        yield settings


def remove_local(directory: Path) -> None:
    """Stop what a killed process has left running, and delete the directory and all that it links to.

    Raises:
        LocalServerError: when a running process uses the servers.

    """
    if not directory.is_dir():
        return
    with _as_sentences(directory):
        home = _Shared(directory.resolve())
        try:
            with home.mutex():
                if not home.is_last():
                    raise LocalServerError(f"The servers in {directory} are in use: stop the application first.")
                home.stop()
                home.delete()
        finally:
            home.close()


class _Shared:
    """The locks of one LOCAL__DIR and the servers that this process uses."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._us = _us_in(directory)
        self._sockets = Sockets(directory, self._us)
        self._servers: list[Postgres | Redis] = []
        # Both stay open, so that they hold even when somebody deletes the directory meanwhile.
        self._mutex = _open_lock(directory / "start.lock", self._us)
        self._users = _open_lock(directory / "users.lock", self._us)

    @contextmanager
    def mutex(self) -> Iterator[None]:
        """Let one process at a time start or stop servers."""
        deadline = time.monotonic() + _MUTEX_S
        while not _try_lock(self._mutex, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise LocalServerError(f"Another process has been starting or stopping the servers in {self.directory} for {_MUTEX_S} s.")
            time.sleep(0.02)
        try:
            yield
        finally:
            fcntl.flock(self._mutex, fcntl.LOCK_UN)

    def join(self) -> None:
        """Be counted as a user; only someone who deletes the directory ever makes this wait."""
        fcntl.flock(self._users, fcntl.LOCK_SH)

    def is_last(self) -> bool:
        """Give up our own use, and say whether nobody else uses the servers."""
        return _try_lock(self._users, fcntl.LOCK_EX)

    def ensure(self, *, postgres: bool, redis: bool) -> dict[str, str]:
        """Start or join the servers that are asked for."""
        settings: dict[str, str] = {}
        database = self._added(Postgres(self.directory, self._sockets, self._us)) if postgres else None
        if database is not None:
            database.launch()
        if redis:  # while PostgreSQL replays its log, perhaps
            settings |= self._added(Redis(self.directory, self._sockets, self._us)).ensure()
        if database is not None:
            settings |= database.ensure()
        return settings

    def stop(self) -> None:
        """Stop all that runs here: also what others have started and left behind."""
        ours = {type(server) for server in self._servers}
        if Redis not in ours and (self.directory / "redis").is_dir():
            self._added(Redis(self.directory, self._sockets, self._us))
        if Postgres not in ours and (self.directory / "postgres/data").is_dir():
            self._added(Postgres(self.directory, self._sockets, self._us))
        for server in self._servers:  # all are asked before any is waited for
            server.request_stop()
        for server in self._servers:
            server.wait_stopped()
        self._sockets.remove()

    def delete(self) -> None:
        """Remove everything, also what lies elsewhere because PostgreSQL's user could not reach this."""
        remove_home(self.directory)
        shutil.rmtree(self.directory)

    def close(self) -> None:
        """Let go of the locks and of the servers that go on for others."""
        for server in self._servers:
            server.release()
        os.close(self._users)
        os.close(self._mutex)

    def _added[Server: Postgres | Redis](self, server: Server) -> Server:
        self._servers.append(server)
        return server


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory.resolve()


def _us_in(directory: Path) -> Account:
    """The owner of the directory: root, using somebody's clone for once, must not leave files that they cannot use."""
    us, owner = ourselves(), directory.stat()
    if us.uid != 0 or owner.st_uid == 0:
        return us
    return Account(owner.st_uid, owner.st_gid, switched=True)


def _open_lock(path: Path, owner: Account) -> int:
    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if new:
        owner.own(path)
    return descriptor


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _leave(home: _Shared) -> None:
    """Stop the servers if nobody else uses them, undisturbed by an impatient second Ctrl-C."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)
    try:
        with _as_sentences(home.directory), home.mutex():
            if home.is_last():
                home.stop()
    finally:
        home.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _as_sentences(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise from_os_error(error, directory) from error


@contextmanager
def _endings_as_exit() -> Iterator[None]:
    """Let a closed terminal and a SIGTERM end the block in order too, where nobody else handles them."""
    replaced: list[int] = []
    if threading.current_thread() is threading.main_thread():
        replaced = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    for number in replaced:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in replaced:
            if signal.getsignal(number) in {_exit, signal.SIG_IGN}:
                signal.signal(number, signal.SIG_DFL)


def _exit(number: int, _frame: FrameType | None) -> Never:
    signal.signal(number, signal.SIG_IGN)  # an impatient second one must not interrupt what the first has begun
    raise SystemExit(128 + number)
