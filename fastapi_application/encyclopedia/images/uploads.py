"""Reads an upload from the network into a file, hashing on the way: memory holds a few pieces of it."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
import unicodedata
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Annotated, BinaryIO

from fastapi import Depends, Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from fastapi_application.core.errors import (
    BadRequestError,
    BodyTooLargeError,
    FieldError,
    ServiceUnavailableError,
    UnsupportedMediaTypeError,
    ValidationFailedError,
)
from fastapi_application.core.limits import MAX_IMAGE_BYTES
from fastapi_application.crud.bodies import media_type_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MULTIPART = "multipart/form-data"
FILE = "file"
MAX_AT_ONCE = 4
"""Uploads that one process has in hand; each may need three times its size in the folder of temporary files."""
RECEIVE_S = 120.0
_MAX_FIELDS = 20
_MAX_FIELD_BYTES = 16 * 1024
_WRITTEN_AT_ONCE = 256 * 1024
_MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class Upload:
    """What was sent: a file in a folder that goes with the request, and the other fields of the form."""

    folder: Path
    path: Path
    sha256: str
    file_name: str
    fields: dict[str, str]


class UploadPlaces:
    """How many uploads a process has in hand."""

    def __init__(self) -> None:
        """All places are free."""
        self._taken = 0

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Hold a place.

        Raises:
            ServiceUnavailableError: there is none.

        """
        if self._taken >= MAX_AT_ONCE:
            raise ServiceUnavailableError("Too many images are being uploaded.")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


async def get_upload(request: Request) -> AsyncIterator[Upload]:
    """Receive the body; declare it after the actor's dependency.

    Raises:
        UnsupportedMediaTypeError: it is no form with a file.
        BadRequestError: it is malformed, or did not come in time.
        BodyTooLargeError: the file is too large.
        ValidationFailedError: the file is missing, or there are fields too many or too long.

    """
    boundary = _boundary(request)
    places: UploadPlaces = request.app.state.upload_places
    async with places.take():
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="frankenjet-upload-"))
        try:
            yield await _receive(request, boundary, folder)
        except OSError as error:
            raise ServiceUnavailableError from error  # no place on the disk, most likely
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


UploadDep = Annotated[Upload, Depends(get_upload)]


def _boundary(request: Request) -> bytes:
    if media_type_of(request) != MULTIPART:
        message = f"Send {MULTIPART} with the image in the field `{FILE}`."
        raise UnsupportedMediaTypeError(message, headers={"Accept-Post": MULTIPART})
    boundary = parse_options_header(request.headers["content-type"])[1].get(b"boundary")
    if not boundary:
        raise BadRequestError("The content type names no boundary.")
    return boundary


async def _receive(request: Request, boundary: bytes, folder: Path) -> Upload:
    path = folder / "upload"
    with path.open("wb") as target:
        try:
            reader = _Reader(boundary, target)
            async with asyncio.timeout(RECEIVE_S):
                async for chunk in request.stream():
                    await reader.feed(chunk)
            await reader.finish()
        except FormParserError:
            raise BadRequestError("The form is malformed.") from None
        except TimeoutError:
            raise BadRequestError("The upload took too long.") from None
    return Upload(folder, path, reader.sha256, reader.file_name, reader.fields)


class _Reader:
    """Takes the parts of a form apart as they come."""

    def __init__(self, boundary: bytes, target: BinaryIO) -> None:
        self.fields: dict[str, str] = {}
        self.file_name = ""
        self._target = target
        self._digest = hashlib.sha256()
        self._size = 0
        self._has_file = self._is_complete = False
        self._waiting = bytearray()
        self._header = (bytearray(), bytearray())
        self._disposition = b""
        self._name = ""
        self._value = bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._complete,
            },
        )

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    async def feed(self, chunk: bytes) -> None:
        self._parser.write(chunk)
        if len(self._waiting) >= _WRITTEN_AT_ONCE:
            await self._write()

    async def finish(self) -> None:
        if not self._is_complete:
            raise FormParserError
        if not self._has_file:
            raise ValidationFailedError(errors=[FieldError(f"/body/{FILE}", "missing", "Send the image in this field.")])
        await self._write()

    async def _write(self) -> None:
        piece = bytes(self._waiting)
        self._waiting.clear()
        await asyncio.to_thread(self._keep, piece)

    def _keep(self, piece: bytes) -> None:
        self._digest.update(piece)
        self._target.write(piece)
        self._target.flush()

    # --- what the parser calls ----------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._disposition = b""
        self._name = ""
        self._value.clear()

    def _end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = bytes(value)
        name.clear()
        value.clear()

    def _end_headers(self) -> None:
        options = parse_options_header(self._disposition.decode("latin-1"))[1]
        self._name = _text(options.get(b"name", b""))[:100]
        if self._name == FILE:
            if self._has_file:
                raise _wrong(FILE, "duplicate_field", "Send one file.")
            self._has_file = True
            self.file_name = _text(options.get(b"filename", b""))
        elif not self._name or self._name in self.fields or len(self.fields) >= _MAX_FIELDS:
            raise _wrong(self._name, "duplicate_field", "The form has a field twice, one without a name, or too many.")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._name == FILE:
            self._size += end - start
            if self._size > MAX_IMAGE_BYTES:
                raise BodyTooLargeError(f"An image may have {MAX_IMAGE_BYTES} bytes.")
            self._waiting += data[start:end]
        else:
            self._value += data[start:end]
            if len(self._value) > _MAX_FIELD_BYTES:
                raise _wrong(self._name, "string_too_long", f"A field may have {_MAX_FIELD_BYTES} bytes.")

    def _end(self) -> None:
        if self._name != FILE:
            self.fields[self._name] = _text(bytes(self._value))

    def _complete(self) -> None:
        self._is_complete = True


def _wrong(name: str, code: str, detail: str) -> ValidationFailedError:
    pointer = name.encode("utf-8", "replace").decode().replace("~", "~0").replace("/", "~1")
    return ValidationFailedError(errors=[FieldError(f"/body/{pointer}", code, detail)])


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def name_from_file(file_name: str) -> str:
    """Return a name for an image that was sent without one: that of its file, without folder and ending."""
    stem = PurePosixPath(PureWindowsPath(file_name).as_posix()).stem
    printable = "".join(letter if unicodedata.category(letter)[0] != "C" else " " for letter in unicodedata.normalize("NFC", stem))
    return " ".join(printable.split())[:_MAX_NAME].strip() or "Image"
