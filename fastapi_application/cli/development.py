"""`openapi`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import orjson

from fastapi_application.create_fastapi_app import create_fastapi_app

if TYPE_CHECKING:
    import argparse


def openapi(arguments: argparse.Namespace) -> int:
    """Print the OpenAPI document, or write it to a file. Needs no servers."""
    document = orjson.dumps(create_fastapi_app().openapi(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if arguments.output is None:
        sys.stdout.write(document.decode())
    else:
        arguments.output.write_bytes(document)
    return 0
