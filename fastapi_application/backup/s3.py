"""A prefix of an S3 bucket as a place of objects."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import aioboto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fastapi_application.backup.errors import BackupError, MissingObjectError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from fastapi_application.core.config import StorageSettings

CHUNK_BYTES = 1024 * 1024
PART_BYTES = 16 * 1024 * 1024
"""10 000 parts are the most that S3 allows: so an object may have 160 GB."""
_MISSING = {"NoSuchKey", "404"}
_CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"total_max_attempts": 3, "mode": "standard"},
    # Not every server of this protocol knows the newer checksums; the manifest has its own.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


class BucketPlace:
    """Objects below a prefix. They appear only when the last byte has come."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        """Use a client of aioboto3, which has no types."""
        self.name = f"s3://{bucket}/{prefix}"
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    async def walk(self) -> AsyncIterator[str]:
        """See `Place`."""
        with _as_sentences(self.name):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            async for page in pages:
                for item in page.get("Contents", ()):
                    yield item["Key"].removeprefix(self._prefix)

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """See `Place`."""
        with _as_sentences(self.name, key):
            answer = await self._client.get_object(**self._address(key))
            body = answer["Body"]
            async with body:  # which gives the connection back, but is not what reads
                while chunk := await body.read(CHUNK_BYTES):
                    yield chunk

    async def write(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """See `Place`. What is larger than a part goes in parts; when the stream fails they are thrown away."""
        parts = _parts(chunks)
        first = await anext(parts)
        with _as_sentences(self.name):
            if len(first) < PART_BYTES:
                await self._client.put_object(**self._address(key), Body=first)
            else:
                await self._write_parts(key, first, parts)

    async def delete(self, key: str) -> None:
        """See `Place`."""
        with _as_sentences(self.name):
            await self._client.delete_object(**self._address(key))

    async def _write_parts(self, key: str, first: bytes, parts: AsyncIterator[bytes]) -> None:
        upload = {**self._address(key), "UploadId": (await self._client.create_multipart_upload(**self._address(key)))["UploadId"]}
        done: list[dict[str, Any]] = []
        try:
            part: bytes | None = first
            while part:
                number = len(done) + 1
                answer = await self._client.upload_part(**upload, PartNumber=number, Body=part)
                done.append({"PartNumber": number, "ETag": answer["ETag"]})
                part = await anext(parts, None)
            await self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
        except BaseException:
            await self._client.abort_multipart_upload(**upload)
            raise

    def _address(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}


async def _parts(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Gather chunks to parts. The last one is smaller, and may be empty."""
    buffer = bytearray()
    async for chunk in chunks:
        buffer += chunk
        while len(buffer) >= PART_BYTES:
            yield bytes(buffer[:PART_BYTES])
            del buffer[:PART_BYTES]
    yield bytes(buffer)


@asynccontextmanager
async def open_bucket(bucket: str, prefix: str, storage: StorageSettings) -> AsyncIterator[BucketPlace]:
    """Connect to a bucket.

    The variables of every S3 tool (`AWS_ACCESS_KEY_ID` …) come first, so that backups may go to another server than the
    images; what they leave out is that of the image store.
    """
    options = {
        "endpoint_url": (("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), storage.endpoint_url),
        "region_name": (("AWS_REGION", "AWS_DEFAULT_REGION"), storage.region),
        "aws_access_key_id": (("AWS_ACCESS_KEY_ID", "AWS_PROFILE"), storage.access_key),
        "aws_secret_access_key": (("AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"), storage.secret_key.get_secret_value()),
    }
    given = {name: value for name, (variables, value) in options.items() if value and not any(map(os.environ.get, variables))}
    with _as_sentences(f"s3://{bucket}"):
        async with aioboto3.Session().client("s3", config=_CONFIG, **given) as client:
            yield BucketPlace(client, bucket, prefix)


@contextmanager
def _as_sentences(place: str, key: str = "") -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if key and code in _MISSING:
            raise MissingObjectError(f"There is no {key} in {place}.") from None
        raise BackupError(f"{place} cannot be used: {error.response.get('Error', {}).get('Message') or code}.") from None
    except BotoCoreError as error:
        raise BackupError(f"{place} cannot be used: {str(error).rstrip('.')}.") from None
