"""The real command: `main.py` as a process, with servers of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from fastapi_application.core.config import Settings
from fastapi_application.local.processes import Residents
from tests.support.servers import run_directory

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, str(ROOT / "main.py"))
START_S = 150
"""Embedded servers, migrations and the starter encyclopedia, on a busy machine; normally 10 s."""
STOP_S = 60


def command_environment(directory: Path, **settings: str) -> dict[str, str]:
    """Return an environment in which only `settings` is set, and the embedded servers live in `directory`."""
    groups = {name.upper() for name in Settings.model_fields}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name.partition("__")[0] not in groups and name not in {"PORT", "WORKERS", "COLUMNS"}
    }
    if inherited.pop("PYTHONDONTWRITEBYTECODE", None):  # compiled once for all commands of this run, but not into the project
        inherited["PYTHONPYCACHEPREFIX"] = str(run_directory() / "compiled")
    return {**inherited, "LOCAL__DIR": str(directory), **settings}


def settings_of_this_run() -> dict[str, str]:
    """Return the settings that lead to the servers of this test run."""
    return {name: value for name, value in os.environ.items() if name.startswith(("DB__", "REDIS__"))}


def run_command(*words: str, env: dict[str, str], typed: str = "", cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run([*COMMAND, *words], cwd=cwd, env=env, input=typed, capture_output=True, text=True, timeout=START_S, check=False)


def assert_fails_in_one_sentence(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """Check exit 1 and one line on stderr with these words in it."""
    assert result.returncode == 1, result.stdout + result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("main.py: ")
    for word in words:
        assert word in line
    assert result.stdout == ""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _processes_of_group(leader: int) -> set[int]:
    """Return the processes of a group, without those that only wait to be buried."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            state, _, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):  # not a process, or ended meanwhile
            continue
        if group == str(leader) and state != "Z":
            found.add(int(entry.name))
    return found


class Service:
    """`main.py local` or `serve` of one LOCAL__DIR: started, spoken to, stopped, started again."""

    def __init__(self, directory: Path, *, command: str = "local", **settings: str) -> None:
        """Choose a port; start nothing yet."""
        self.directory = directory
        self.port = free_port()
        self.environment = command_environment(directory, **settings)
        self.output = directory.with_name(f"{directory.name}.output")
        self.errors = directory.with_name(f"{directory.name}.errors")
        self.first_screen = ""
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start, in a session of its own as a terminal does, and wait until it answers."""
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            words = [*COMMAND, self._command, "--port", str(self.port), *options]
            self._process = subprocess.Popen(
                words, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True
            )
        deadline = time.monotonic() + START_S
        while not self._is_live():
            assert self._process.poll() is None, self.errors.read_text()
            assert time.monotonic() < deadline, self.errors.read_text()
            time.sleep(0.05)

    def client(self, token: str | None = None) -> httpx.Client:
        """Return a client with connections of its own."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=30)

    def run(self, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run another command beside it."""
        return run_command(*words, env=self.environment, typed=typed)

    def press_ctrl_c(self) -> int:
        """Interrupt everything that the terminal has started; return the exit status."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGINT)
        return self._process.wait(STOP_S)

    def terminate(self) -> int:
        """Send SIGTERM to the command alone, as a supervisor does; return the exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(STOP_S)

    def close(self) -> None:
        """End what a failed test has left."""
        if self.is_running:
            self.terminate()

    @property
    def is_running(self) -> bool:
        """Whether the command was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def left_behind(self) -> set[int]:
        """Return the processes that were started and are still there after a moment."""
        assert self._process is not None
        deadline = time.monotonic() + 5  # Python's tracker of shared resources ends when it sees that its parent has
        while (found := _processes_of_group(self._process.pid) | self.servers()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return found

    def servers(self) -> set[int]:
        """Return the processes of the embedded servers."""
        found: set[int] = set()
        for place, names in {"postgres/data": ["postgres"], "redis": ["redis-server", "valkey-server"]}.items():
            data = self.directory / place
            if data.is_dir():
                found |= Residents(data, *names, pid_file=data / "postmaster.pid").find()
        return found

    def _is_live(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/api/v1/health/live", timeout=5).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False
