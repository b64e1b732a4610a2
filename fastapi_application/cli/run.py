"""Runs a command: exit 0 done, 1 failed (with one sentence), 2 usage."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from fastapi_application.cli.errors import CommandError
from fastapi_application.cli.parser import build_parser
from fastapi_application.core.config import ConfigurationError
from fastapi_application.core.errors import AppError, SchemaOutOfDateError
from fastapi_application.local.errors import LocalServerError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

INTERRUPTED = 130
EXPECTED = (CommandError, ConfigurationError, LocalServerError, AppError, DBAPIError, OSError)


def run(words: Sequence[str]) -> int:
    """Run the command of these words and return the exit status."""
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words = ["serve", *words]
    arguments = build_parser().parse_args(words)
    try:
        return _command(arguments.command)(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except EXPECTED as error:
        print(f"main.py: {_sentence(error)}", file=sys.stderr)
        return 1


def _sentence(error: Exception) -> str:
    match error:
        case SchemaOutOfDateError():
            return "The database has not the schema of this version: run `main.py migrate` first."
        case AppError():
            return " ".join(dict.fromkeys([error.detail, *(item.detail for item in error.errors)]))
        case DBAPIError():
            return f"The database refused: {str(error.orig).partition(': ')[2] or error.orig}"
        case OSError():
            return f"{error.strerror or type(error).__name__}: {error.filename or error}"
    return str(error)


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    """Find a command; only what it needs is imported."""
    module, function = {
        "serve": ("serve", "serve"),
        "local": ("serve", "local"),
        "worker": ("worker", "worker"),
        "migrate": ("data", "migrate"),
        "seed": ("data", "seed"),
        "backup": ("backup", "backup"),
        "restore": ("backup", "restore"),
        "doctor": ("doctor", "doctor"),
        "sweep-images": ("images", "sweep_images"),
        "create-user": ("accounts", "create_user"),
        "dump": ("dump", "dump"),
        "load": ("dump", "load"),
        "openapi": ("development", "openapi"),
        "new-entity": ("new_entity", "new_entity"),
    }[name]
    gc.disable()  # what is imported stays: to look for garbage in it over and over would take a fifth of the time
    try:
        command: Callable[[argparse.Namespace], int] = getattr(import_module(f"fastapi_application.cli.{module}"), function)
    finally:
        gc.enable()
    return command
