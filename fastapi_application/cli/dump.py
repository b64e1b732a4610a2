"""`dump` and `load`: the encyclopedia as files, and back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi_application.cli.data import wait_for_workers
from fastapi_application.cli.database import database_session
from fastapi_application.cli.environment import environment
from fastapi_application.cli.errors import CommandError
from fastapi_application.crud.action import run_crud_action
from fastapi_application.transfer.dump import DumpService
from fastapi_application.transfer.files import Manifest, TransferError
from fastapi_application.transfer.load import LoadService

if TYPE_CHECKING:
    import argparse
    from collections.abc import Coroutine

    from fastapi_application.core.config import Settings


def dump(arguments: argparse.Namespace) -> int:
    """Write what everybody sees, or everything, into a directory."""

    async def write(settings: Settings) -> Manifest:
        async with database_session(settings) as session:
            return await run_crud_action(session, DumpService(session).dump, arguments.to, everything=arguments.all)

    with environment(redis=False) as settings:
        _report("Dumped", _run(write(settings)))
    return 0


def load(arguments: argparse.Namespace) -> int:
    """Load a directory into an empty database."""

    async def read(settings: Settings) -> Manifest:
        async with database_session(settings) as session:
            return await run_crud_action(session, LoadService(session).load, arguments.from_)

    with environment(redis=False) as settings:
        manifest = _run(read(settings))
        wait_for_workers()
    _report("Loaded", manifest)
    return 0


def _run(work: Coroutine[object, object, Manifest]) -> Manifest:
    try:
        return asyncio.run(work)
    except TransferError as error:
        raise CommandError(str(error)) from None


def _report(verb: str, manifest: Manifest) -> None:
    counts = ", ".join(f"{file.count} {file.table}" for file in manifest.files if file.count)
    print(f"{verb} {counts or 'nothing'}.")
