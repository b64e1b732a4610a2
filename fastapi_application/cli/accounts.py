"""`create-user`."""

from __future__ import annotations

import asyncio
import getpass
import sys
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

from fastapi_application.accounts.passwords import check_length, hash_password
from fastapi_application.accounts.schemas import parse_address
from fastapi_application.accounts.service import AccountService
from fastapi_application.cli.database import database_session
from fastapi_application.cli.environment import environment
from fastapi_application.cli.errors import CommandError
from fastapi_application.core.actor import Role
from fastapi_application.core.errors import DuplicateError
from fastapi_application.crud.action import run_crud_action

if TYPE_CHECKING:
    import argparse
    import uuid

    from fastapi_application.core.config import Settings


def create_user(arguments: argparse.Namespace) -> int:
    """Create an account and print its id."""
    email = _address(arguments.email)
    password = _read_password() if arguments.password_stdin else arguments.password
    check_length(password)
    with environment(redis=False) as settings:
        print(asyncio.run(_create(settings, email, password, Role(arguments.role), is_verified=not arguments.unverified)))
    return 0


def _address(text: str) -> str:
    try:
        return parse_address(text)
    except PydanticCustomError as error:
        raise CommandError(str(error)) from None


def _read_password() -> str:
    """Read a line; on a terminal, without showing it."""
    return getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")


async def _create(settings: Settings, email: str, password: str, role: Role, *, is_verified: bool) -> uuid.UUID:
    hashed = await hash_password(password)
    try:
        async with database_session(settings) as session:
            return await run_crud_action(session, AccountService(session).create, email, hashed, role, is_verified=is_verified)
    except DuplicateError:
        message = "There is an account with this address already."
        raise CommandError(message) from None
