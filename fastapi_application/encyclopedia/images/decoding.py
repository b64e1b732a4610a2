"""Runs the decoder: one process for each picture, one picture at a time, nothing of it in this process's memory."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from fastapi_application.core.errors import FieldError, ServiceUnavailableError, UnsupportedMediaTypeError, ValidationFailedError

if TYPE_CHECKING:
    from asyncio.subprocess import Process

PROGRAM = Path(__file__).with_name("decoder.py")
CLEAN_S = 30.0
"""Of this machine's time; the decoder's own limit is one of its CPU's time."""
RENDER_S = 60.0
WAIT_S = 20.0
"""How long an upload waits for its turn."""
_END_S = 5.0
_HEAD_BYTES = 64
_NO_SPACE = "no_space"
"""The one refusal that is not the picture's fault. The decoder is not imported: its libraries stay out of this process."""
_FORMATS = {"JPEG": ("image/jpeg", "jpg"), "PNG": ("image/png", "png"), "WEBP": ("image/webp", "webp"), "AVIF": ("image/avif", "avif")}
MEDIA_TYPES = {ending: media_type for media_type, ending in _FORMATS.values()}
# The decoder sees nothing of the settings.
_INHERITED = ("PATH", "LANG", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")
_logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Original:
    """A picture that was decoded and written anew: what is stored."""

    path: Path
    sha256: str
    media_type: str
    width: int
    height: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RenditionFile:
    """One rendition as a file."""

    path: Path
    name: str
    file_name: str
    width: int
    height: int
    media_type: str


def original_name(media_type: str) -> str:
    """Return the last part of an original's address."""
    return next(f"original.{ending}" for known, ending in _FORMATS.values() if known == media_type)


def is_image(head: bytes) -> bool:
    """Whether a file begins like a JPEG, PNG, WebP or AVIF; what its name or its sender says does not count."""
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and any(brand in head[8:] for brand in (b"avif", b"avis")))
    )


class Decoder:
    """The decoder of one process of ours. Pictures take turns: the memory that they need at most is that of one."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._turn = asyncio.Semaphore(1)

    async def clean(self, source: Path, folder: Path) -> Original:
        """Decode a stranger's file, and write it anew into the folder.

        Raises:
            UnsupportedMediaTypeError: it is no picture of a format that is taken.
            ValidationFailedError: it is empty, damaged, too large when decoded, or animated.
            ServiceUnavailableError: too many others wait, or this machine is too busy.

        """
        head = await asyncio.to_thread(_head, source)
        if not head:
            raise _refusal("empty_file", "The file is empty.")
        if not is_image(head):
            raise UnsupportedMediaTypeError("The file is none of JPEG, PNG, WebP and AVIF.")
        made = await self._decode("clean", source, folder, CLEAN_S)
        path = folder / "original"
        media_type, _ = _FORMATS[made["format"]]
        sha256, size = await asyncio.to_thread(_digest, path)
        return Original(path, sha256, media_type, made["width"], made["height"], size)

    async def render(self, source: Path, folder: Path) -> list[RenditionFile]:
        """Write the renditions of an original into the folder."""
        made = await self._decode("render", source, folder, RENDER_S)
        return [_rendition(item, folder) for item in made["renditions"]]

    async def _decode(self, task: str, source: Path, folder: Path, seconds: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(WAIT_S):
                await self._turn.acquire()
        except TimeoutError:
            raise ServiceUnavailableError("Too many images wait to be decoded.") from None
        try:
            return await _run(task, source, folder, seconds)
        finally:
            self._turn.release()


def _rendition(item: dict[str, Any], folder: Path) -> RenditionFile:
    media_type, ending = _FORMATS[item["format"]]
    path = folder / f"{item['name']}.{item['format'].lower()}"
    return RenditionFile(path, item["name"], f"{item['name']}.{ending}", item["width"], item["height"], media_type)


async def _run(task: str, source: Path, folder: Path, seconds: float) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-B", str(PROGRAM), task, str(source), str(folder)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={name: os.environ[name] for name in _INHERITED if name in os.environ},
        cwd=folder,
        start_new_session=True,  # Ctrl-C in a terminal is for us: we end it
    )
    try:
        async with asyncio.timeout(seconds):
            return await _answer(process)
    except TimeoutError:
        _logger.warning("decoder_too_slow", task=task)
        raise ServiceUnavailableError("The image could not be decoded in time.") from None
    finally:
        await _end(process)


async def _end(process: Process) -> int | None:
    """End a decoder and whatever it has started; read what it still had to say, so that its pipe is closed."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_S):
            await process.communicate()
    return process.returncode


async def _answer(process: Process) -> dict[str, Any]:
    if process.stdout is None:  # pragma: no cover - it is a pipe
        raise AssertionError
    try:
        answer: dict[str, Any] = json.loads(await process.stdout.readuntil(b"\n"))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        _logger.warning("decoder_died", status=await _end(process))
        raise _refusal("too_complex", "The image needs too much time or memory to decode.") from None
    if answer.get("refused") == _NO_SPACE:
        _logger.error("decoder_has_no_space")
        raise ServiceUnavailableError(answer["detail"])
    if "refused" in answer:
        raise _refusal(answer["refused"], answer["detail"])
    return answer


def _refusal(code: str, detail: str) -> ValidationFailedError:
    return ValidationFailedError(errors=[FieldError("/body/file", code, detail)])


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _digest(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size
