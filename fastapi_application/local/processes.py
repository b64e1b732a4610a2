"""Finding and ending the processes of a server by the directory that they work in.

A process id in a file says nothing after a crash: it may be gone, a zombie, or by now somebody
else's. Both servers change into their data directory, so whoever works there is the server.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

_PROC = Path("/proc")
_POLL_S = 0.02


class Residents:
    """The processes called one of `names` that work in a directory, found also after it was deleted."""

    def __init__(self, directory: Path, *names: str, pid_file: Path) -> None:
        """Remember the directory by its inode. `pid_file` is for systems without /proc."""
        status = directory.stat()
        self._place = (status.st_dev, status.st_ino)
        self._names = frozenset(names)
        self._pid_file = pid_file
        self._child: subprocess.Popen[bytes] | None = None

    def adopt(self, child: subprocess.Popen[bytes]) -> None:
        """Count a server that we start from its first moment, before it has changed its directory."""
        self._child = child

    def release(self) -> None:
        """Let the child run on without us: others use it."""
        if self._child is not None and self._child.poll() is None:
            self._child.returncode = 0  # else Python warns of a forgotten process
        self._child = None

    def find(self) -> set[int]:
        """The ids of the processes; zombies have no working directory and are not among them."""
        # Asking also buries our own child: not every container's first process does that.
        ours = {self._child.pid} if self._child is not None and self._child.poll() is None else set()
        if not (_PROC / "self/cwd").exists():
            return ours | self._from_pid_file()
        return ours | {int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit() and self._lives(entry)}

    def leaders(self) -> set[int]:
        """Those whose parent is not one of them: a signal goes to these."""
        pids = self.find()
        return {pid for pid in pids if _parent(pid) not in pids}

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the leaders, if they are still there."""
        for pid in self.leaders():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def wait_gone(self, seconds: float) -> bool:
        """Wait for the last of them to end; false when some are left."""
        deadline = time.monotonic() + seconds
        while self.find():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def _lives(self, entry: Path) -> bool:
        try:
            if (entry / "comm").read_text().strip() not in self._names:
                return False
            status = (entry / "cwd").stat()
        except OSError:  # ended meanwhile, or somebody else's
            return False
        return (status.st_dev, status.st_ino) == self._place

    def _from_pid_file(self) -> set[int]:
        try:
            pid = int(self._pid_file.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return set()
        command = ["ps", "-o", "comm=", "-p", str(pid)]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        return {pid} if Path(process.stdout.strip()).name in self._names else set()


def _parent(pid: int) -> int:
    try:
        # The name in parentheses may hold anything, so count from the last parenthesis.
        return int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
