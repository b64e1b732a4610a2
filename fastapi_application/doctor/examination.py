"""All checks, side by side, each for a limited time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from fastapi_application.doctor.findings import Finding, failed
from fastapi_application.doctor.postgres import check_postgres
from fastapi_application.doctor.redis import check_redis
from fastapi_application.doctor.scale_out import check_commands, check_replica
from fastapi_application.doctor.settings import check_settings
from fastapi_application.doctor.surroundings import check_broker, check_disk, check_mail, check_storage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi_application.core.config import Settings

    type Check = Callable[[Settings], Awaitable[list[Finding]]]

CHECK_S = 10.0
CHECKS: dict[str, Check] = {
    "postgresql": check_postgres,
    "commands": check_commands,
    "replica": check_replica,
    "redis": check_redis,
    "broker": check_broker,
    "mail": check_mail,
    "storage": check_storage,
    "disk": check_disk,
}
_logger = structlog.get_logger(__name__)


async def examine(settings: Settings) -> list[Finding]:
    """Check everything; what is away or hangs is a finding, never an exception."""
    groups = await asyncio.gather(*(_bounded(name, check, settings) for name, check in CHECKS.items()))
    return [*check_settings(settings), *(finding for group in groups for finding in group)]


async def _bounded(name: str, check: Check, settings: Settings) -> list[Finding]:
    try:
        async with asyncio.timeout(CHECK_S):
            return await check(settings)
    except TimeoutError:
        return [failed(name, f"no answer within {CHECK_S:g} s", "look whether it hangs, or whether a firewall is in between")]
    except Exception as error:
        _logger.exception("check_failed", check=name)
        return [failed(name, f"could not be checked ({type(error).__name__})", "the log has more; please report it")]
