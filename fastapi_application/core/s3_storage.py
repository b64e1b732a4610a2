"""The storage of images on an S3 server: one client, short time-outs, a deadline for each call."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aioboto3
from aiobotocore.config import AioConfig  # type: ignore[import-untyped]
from aiohttp import ClientError as TransportError
from botocore.exceptions import BotoCoreError, ClientError

from fastapi_application.core.storage import CHUNK_BYTES, Listed, StoredFile, unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from pathlib import Path

    from fastapi_application.core.config import StorageSettings

CONNECT_TIMEOUT_S = 1.0
READ_TIMEOUT_S = 2.0
DEADLINE_S = 3.0
"""For a call with its retry, besides the time that its bytes need."""
CHECK_DEADLINE_S = 1.5
SLOWEST_BYTES_PER_S = 8 * 1024 * 1024
_FAILURES = (BotoCoreError, ClientError, TransportError, OSError)  # TimeoutError is an OSError
_DELETED_AT_ONCE = 1000


@asynccontextmanager
async def open_s3(settings: StorageSettings) -> AsyncIterator[S3Storage]:
    """Make the client; this reads a megabyte of descriptions and takes up to a second the first time."""
    session = aioboto3.Session()
    async with session.client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint_url,
        aws_access_key_id=settings.access_key or None,
        aws_secret_access_key=settings.secret_key.get_secret_value() or None,
        config=_config(settings),
    ) as client:
        yield S3Storage(client, settings.bucket)


def _config(settings: StorageSettings) -> AioConfig:
    options: dict[str, Any] = {}
    if settings.endpoint_url:
        # A server of one's own: no proxy that the environment names, and the bucket in the path, as there is no DNS for it.
        options = {"proxies": {}, "s3": {"addressing_style": "path"}}
    return AioConfig(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": 2, "mode": "standard"},
        max_pool_connections=32,
        # Trailing checksums are younger than many S3 servers.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        **options,
    )


class S3Storage:
    """Files as objects of one bucket."""

    def __init__(self, client: Any, bucket: str) -> None:
        """Use a client that is open."""
        self._client = client
        self._bucket = bucket

    async def check(self) -> None:
        """See `Storage`. Any answer that is no failure of the server will do."""
        await self._found(self._client.head_object(Bucket=self._bucket, Key="check"), CHECK_DEADLINE_S)

    async def put(self, key: str, source: Path, media_type: str) -> None:
        """See `Storage`. S3 shows an object only when all of it has come."""
        body = await asyncio.to_thread(source.read_bytes)
        deadline = DEADLINE_S + len(body) / SLOWEST_BYTES_PER_S
        await _within(deadline, self._client.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=media_type))

    async def exists(self, key: str) -> bool:
        """See `Storage`."""
        return await self._found(self._client.head_object(Bucket=self._bucket, Key=key), CHECK_DEADLINE_S) is not None

    async def open(self, key: str) -> StoredFile | None:
        """See `Storage`."""
        answer = await self._found(self._client.get_object(Bucket=self._bucket, Key=key), DEADLINE_S)
        return None if answer is None else StoredFile(answer["ContentLength"], _chunks(answer["Body"]))

    async def delete(self, keys: list[str]) -> None:
        """See `Storage`."""
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            objects = [{"Key": key} for key in keys[start : start + _DELETED_AT_ONCE]]
            await _within(DEADLINE_S, self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True}))

    async def walk(self, prefix: str = "") -> AsyncIterator[Listed]:
        """See `Storage`."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix).__aiter__()
        while (page := await _within(DEADLINE_S, anext(pages, None))) is not None:
            now = datetime.now(UTC)
            for item in page.get("Contents", ()):
                yield Listed(item["Key"], (now - item["LastModified"]).total_seconds())

    @staticmethod
    async def _found(call: Awaitable[Any], deadline_s: float) -> Any:
        """Return the answer; None where there is no such object."""
        try:
            async with asyncio.timeout(deadline_s):
                return await call
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == HTTPStatus.NOT_FOUND:
                return None
            raise unavailable(error) from error
        except _FAILURES as error:
            raise unavailable(error) from error


async def _within(deadline_s: float, call: Awaitable[Any]) -> Any:
    try:
        async with asyncio.timeout(deadline_s):
            return await call
    except _FAILURES as error:
        raise unavailable(error) from error


async def _chunks(body: Any) -> AsyncIterator[bytes]:
    try:
        while chunk := await _within(DEADLINE_S, body.read(CHUNK_BYTES)):
            yield chunk
    finally:
        with suppress(Exception):
            body.close()
