"""The commands and their options."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from fastapi_application.core.actor import Role
from fastapi_application.core.version import VERSION

MAX_PORT = 65_535


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= MAX_PORT:
        message = f"a port is 0 to {MAX_PORT}"
        raise argparse.ArgumentTypeError(message)
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        message = "at least 1"
        raise argparse.ArgumentTypeError(message)
    return value


def build_parser() -> argparse.ArgumentParser:
    """Build the parser; without a command, `serve` is meant."""
    parser = argparse.ArgumentParser(prog="main.py", description="FrankenJet API: an encyclopedia of aviation history.")
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_servers(commands)
    _add_data(commands)
    _add_files(commands)
    _add_operations(commands)
    _add_account(commands)
    _add_development(commands)
    return parser


type _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it


def _add_servers(commands: _Commands) -> None:
    texts = {
        "serve": "serve the API (the default)",
        "local": "start what is missing, migrate, load the starter encyclopedia once, and serve, with a worker beside it",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        # Not from HOST, as for the others: some shells set it to the name of the machine.
        command.add_argument("--host", help="address to listen on (default: SERVER__HOST, 127.0.0.1)")
        command.add_argument("--port", type=_port, default=os.environ.get("PORT") or None, help="port (default: PORT, SERVER__PORT, 8000)")
        command.add_argument(
            "--workers", type=_positive, default=os.environ.get("WORKERS") or None, help="processes (default: WORKERS, SERVER__WORKERS, 1)"
        )
    worker = commands.add_parser("worker", help="run background jobs: mails and periodic tasks", description="Run background jobs.")
    worker.add_argument("--concurrency", type=_positive, default=4, help="jobs at a time, each on a connection of its own (default: 4)")
    worker.add_argument("--heartbeat", type=Path, help="touch this file every few seconds while the worker can work")
    worker.add_argument("--with-parent", action="store_true", help=argparse.SUPPRESS)


def _add_data(commands: _Commands) -> None:
    migrate = commands.add_parser("migrate", help="bring the database schema to a revision")
    migrate.add_argument("--revision", default="head", help="revision to go to, forwards or back (default: head)")
    text = "load the starter encyclopedia: what is missing comes (back), what editors have changed stays"
    seed = commands.add_parser("seed", help=text, description=text.capitalize() + ".")
    seed.add_argument("--once", action="store_true", help="do nothing if this database was loaded before")
    seed.add_argument("--no-progress", action="store_true", help="no progress bar")
    text = "remove the files of images that no entry names, and name the entries whose file is missing"
    commands.add_parser("sweep-images", help=text, description=text.capitalize() + ".")


def _add_files(commands: _Commands) -> None:
    text = "write the public encyclopedia as NDJSON files with a manifest"
    dump = commands.add_parser("dump", help=text, description=text.capitalize() + ".")
    dump.add_argument("--to", type=Path, required=True, metavar="DIR", help="an empty directory, or one to make")
    dump.add_argument("--all", action="store_true", help="also what only editors see: drafts and former versions")
    text = "load a dump into an empty database"
    load = commands.add_parser("load", help=text, description=text.capitalize() + ".")
    load.add_argument("--from", type=Path, required=True, metavar="DIR", dest="from_", help="the directory of a dump")


def _add_operations(commands: _Commands) -> None:
    texts = {
        "backup": ("back up the database and the images", "--to", "write it here: an empty directory, or s3://BUCKET/PREFIX"),
        "restore": ("bring a backup back into an empty database", "--from", "where it is: a directory, or s3://BUCKET/PREFIX"),
    }
    for name, (text, option, help_text) in texts.items():
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        command.add_argument(option, dest="place", required=True, metavar="PLACE", help=help_text)
        command.add_argument("--key-file", type=Path, help="encrypted with what is in this file (`openssl rand -hex 32` makes one)")
    command.add_argument("--force", action="store_true", help="replace everything that the database holds")
    doctor = commands.add_parser("doctor", help="check settings, servers, schema and rights, and say what to do")
    doctor.add_argument("--json", action="store_true", help="print one JSON document")


def _add_account(commands: _Commands) -> None:
    user = commands.add_parser("create-user", help="create an account and print its id")
    user.add_argument("--email", required=True)
    user.add_argument("--role", required=True, choices=[str(role) for role in Role])
    password = user.add_mutually_exclusive_group(required=True)
    password.add_argument("--password", help="visible to other users of this machine: prefer --password-stdin")
    password.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    user.add_argument("--unverified", action="store_true", help="the address has yet to be verified; the account cannot write")


def _add_development(commands: _Commands) -> None:
    openapi = commands.add_parser("openapi", help="print the OpenAPI document")
    openapi.add_argument("--output", type=Path, help="write it to this file instead")
    entity = commands.add_parser(
        "new-entity",
        help="write the files of a new encyclopedia entity, or remove them",
        description="Write the folder, the registry's line, the tests' factory and the migration of a new entity of the encyclopedia.",
    )
    entity.add_argument("name", metavar="NAME", help="plural noun in snake_case, for example `airports`")
    entity.add_argument(
        "--remove",
        action="store_true",
        help="take everything away again, if nothing was changed since and nobody uses it; where the migration was applied to the "
        "database of the settings (else the embedded one), it is stepped back first, unless its table has entries",
    )
