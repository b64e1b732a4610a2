"""An S3 server, and places of objects on it and on the disk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aioboto3
import pytest
from moto.server import ThreadedMotoServer

from fastapi_application.backup.places import Place, open_place
from fastapi_application.core.config import Settings, StorageSettings

REGION = "us-east-1"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Run an S3 server; return its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_settings(s3_server: str) -> Settings:
    """Settings that lead to the S3 server."""
    storage = {"endpoint_url": s3_server, "region": REGION, "access_key": "test", "secret_key": "test", "kind": "s3", "bucket": "images"}
    return Settings(storage=StorageSettings.model_validate(storage))


@pytest.fixture
async def bucket(s3_settings: Settings, number: int) -> str:
    """Create an empty bucket."""
    name = f"bucket-{number}"
    storage = s3_settings.storage
    async with aioboto3.Session().client(
        "s3",
        endpoint_url=storage.endpoint_url,
        region_name=REGION,
        aws_access_key_id=storage.access_key,
        aws_secret_access_key=storage.secret_key.get_secret_value(),
    ) as client:
        await client.create_bucket(Bucket=name)
    return name


@pytest.fixture(params=["directory", "s3"])
async def place(request: pytest.FixtureRequest, tmp_path: Path, bucket: str, s3_settings: Settings) -> AsyncIterator[Place]:
    """Open an empty place of each kind."""
    address = str(tmp_path / "place") if request.param == "directory" else f"s3://{bucket}/some/prefix"
    async with open_place(address, s3_settings) as place:
        yield place
