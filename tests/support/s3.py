"""An S3 server over HTTP, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aioboto3
import httpx

from tests.support.commands import START_S, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = {"access_key": "test", "secret_key": "0123456789abcdef"}
BUCKET = "frankenjet"


@contextmanager
def s3_server() -> Iterator[str]:
    """Yield the address of an empty server."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_S
    try:
        with httpx.Client(trust_env=False) as client:
            while not _answers(client, address):
                assert process.poll() is None, "the S3 server ended"
                assert time.monotonic() < deadline, "the S3 server did not start"
                time.sleep(0.05)
        yield address
    finally:
        process.kill()
        process.wait()


def _answers(client: httpx.Client, address: str) -> bool:
    try:
        return client.get(f"{address}/moto-api/", timeout=5).status_code < httpx.codes.INTERNAL_SERVER_ERROR
    except httpx.TransportError:
        return False


async def create_bucket(address: str, name: str) -> None:
    """Make a bucket."""
    session = aioboto3.Session(aws_access_key_id=KEYS["access_key"], aws_secret_access_key=KEYS["secret_key"], region_name="us-east-1")
    async with session.client("s3", endpoint_url=address) as client:
        await client.create_bucket(Bucket=name)
