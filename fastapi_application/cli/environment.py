"""Where a command runs: on the servers that the settings name, else on the embedded ones."""

from __future__ import annotations

import json
import os
import secrets
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from fastapi_application.core.config import MIN_SECRET_LENGTH, AccessTokenSettings, Settings, get_settings
from fastapi_application.core.logging_config import configure_logging

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_logger = structlog.get_logger(__name__)
DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


@contextmanager
def environment(*, redis: bool = True) -> Iterator[Settings]:
    """Yield the settings with servers behind them. What this starts it stops, unless another process uses it.

    Everything goes through environment variables, so that worker processes see the same.

    Raises:
        LocalServerError: an embedded server cannot run; one sentence says why.
        ConfigurationError: the settings are unusable.

    """
    settings = get_settings()
    _use_human_log_on_a_terminal(settings)
    configure_logging(get_settings().log)
    need_postgres, need_redis = not settings.db.is_configured, redis and not settings.redis.is_configured
    if settings.made_up_secrets:
        set_variables(_local_secrets(settings.local.dir, settings.made_up_secrets))
    if not (need_postgres or need_redis):
        yield get_settings()
        return
    if settings.app.mode == "production":
        _logger.warning(
            "embedded_servers_in_production", missing=[name for name, needed in (("DB", need_postgres), ("REDIS", need_redis)) if needed]
        )
    # Not imported where the operator brings the servers: the wheels are not there in a container.
    from fastapi_application.local.servers import local_servers  # noqa: PLC0415

    with local_servers(settings.local.dir, postgres=need_postgres, redis=need_redis) as variables:
        set_variables(variables)
        yield get_settings()


def _use_human_log_on_a_terminal(settings: Settings) -> None:
    if settings.app.mode == "local" and sys.stderr.isatty() and "format" not in settings.log.model_fields_set:
        set_variables({"LOG__FORMAT": "human"})


def set_variables(variables: dict[str, str]) -> None:
    """Set what this process and those that it starts read as settings."""
    os.environ.update(variables)
    get_settings.cache_clear()


def _local_secrets(directory: Path, missing: Sequence[str]) -> dict[str, str]:
    """Secrets of this installation, made once: cursors and mail links outlive a restart, and all workers share them."""
    names = [f"ACCESS_TOKEN__{name.upper()}" for name in AccessTokenSettings.model_fields]
    path = directory / "secrets.json"
    if not path.is_file():
        directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        _write_once(path, {name: secrets.token_urlsafe(MIN_SECRET_LENGTH) for name in names})
    kept = json.loads(path.read_text())
    return {name: kept[name] for name in missing}


def _write_once(path: Path, values: dict[str, str]) -> None:
    """Write atomically; if another process was first, its file stays."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "w") as file:
        json.dump(values, file)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
