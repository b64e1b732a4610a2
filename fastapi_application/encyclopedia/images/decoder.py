"""The program that decodes pictures: run by its path in a process of its own, for one picture, with limits.

    decoder.py clean SOURCE FOLDER     decode a stranger's file, write it anew as FOLDER/original
    decoder.py render SOURCE FOLDER    write the renditions of an original into FOLDER

It prints one line of JSON: what it has made, or `{"refused": code, "detail": sentence}`. It knows nothing of the
application, its settings or its secrets; what it writes holds pixels, a colour profile and a copyright notice, no more.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import struct
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import AvifImagePlugin, Image, ImageFile, ImageOps, IptcImagePlugin, JpegImagePlugin
from PIL.ExifTags import Base

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_PIXELS = 40_000_000
MAX_AVIF_PIXELS = 16_000_000
"""Its encoder takes 20 bytes for a pixel."""
MAX_SIDE = 30_000
MAX_MEMORY_BYTES = 768 * 1024 * 1024
MAX_CPU_S = 20
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_PROFILE_BYTES = 1024 * 1024
MAX_COPYRIGHT = 500
LIMITS = {
    resource.RLIMIT_AS: MAX_MEMORY_BYTES,
    resource.RLIMIT_CPU: MAX_CPU_S,
    resource.RLIMIT_FSIZE: MAX_FILE_BYTES,
    resource.RLIMIT_CORE: 0,
}
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF")
RENDITIONS = {"large": 1920, "medium": 960, "thumb": 320}
"""The longest side in pixels, the largest first: each is made from the one before it."""
_RENDITION_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 82, "optimize": True, "progressive": True},
    "PNG": {"compress_level": 6},
    "WEBP": {"quality": 80, "method": 4},
    "AVIF": {"quality": 65, "speed": 8, "max_threads": 1},
}
_ORIGINAL_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 92, "optimize": True},
    "PNG": {"compress_level": 3},
    "WEBP": {"quality": 92, "method": 2},
    "AVIF": {"quality": 90, "speed": 9, "max_threads": 1},
}
# What a colour profile needs to be one. The others may name a device by its serial number.
_PROFILE_TAGS = frozenset(
    b"desc cprt wtpt bkpt rXYZ gXYZ bXYZ rTRC gTRC bTRC kTRC chad chrm lumi cicp gamt A2B0 A2B1 A2B2 B2A0 B2A1 B2A2".split()
)
_PROFILE_HEADER, _PROFILE_ENTRY = 128, 12
_SPACES = {"L": b"GRAY", "LA": b"GRAY", "1": b"GRAY", "I;16": b"GRAY"}


class RefusedError(Exception):
    """The picture is not taken; the code and the sentence are for whoever sent it."""

    def __init__(self, code: str, detail: str) -> None:
        """Keep both."""
        super().__init__(detail)
        self.code = code


def main(task: str, source: str, folder: str) -> None:
    """Do one task and print what came of it."""
    for limit, value in LIMITS.items():
        resource.setrlimit(limit, (value, value))
    os.nice(5)
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    try:
        answer = _TASKS[task](Path(source), Path(folder))
    except RefusedError as refusal:
        answer = {"refused": refusal.code, "detail": str(refusal)}
    except MemoryError:
        answer = {"refused": "too_complex", "detail": "The image needs too much memory to decode."}
    sys.stdout.write(json.dumps(answer) + "\n")


def clean(source: Path, folder: Path) -> dict[str, Any]:
    """Decode a file, and write its pixels upright into a new one of the same format."""
    image = _opened(source)
    kind = _kind(image)
    same_quality = _same_quality(image)
    notice = _copyright(image)
    _decode(image)
    picture, profile = _stripped(_storable(image, kind))
    options = same_quality if same_quality and picture.mode == image.mode else _ORIGINAL_OPTIONS[kind]
    _save(picture, folder / "original", kind, options, _metadata(notice, profile))
    return {"format": kind, "width": picture.width, "height": picture.height}


def render(source: Path, folder: Path) -> dict[str, Any]:
    """Write each rendition as WebP and in the original's format; none is larger than the original."""
    image = _opened(source)
    kind = _kind(image)
    notice = _copyright(image)
    # A JPEG can be decoded at an eighth, a quarter or half of its size, which is faster.
    image.draft(image.mode, (2 * RENDITIONS["large"], 2 * RENDITIONS["large"]))
    picture, profile = _stripped(_plain(image))
    made = []
    for name, side in RENDITIONS.items():
        _shrink(picture, side)
        for form in dict.fromkeys(("WEBP", kind)):
            metadata = _metadata(notice, profile if form != "WEBP" or picture.mode != "L" else None)
            _save(picture, folder / f"{name}.{form.lower()}", form, _RENDITION_OPTIONS[form], metadata)
            made.append({"name": name, "format": form, "width": picture.width, "height": picture.height})
    return {"renditions": made}


_TASKS: dict[str, Callable[[Path, Path], dict[str, Any]]] = {"clean": clean, "render": render}


# --- reading --------------------------------------------------------------------------------------------------------


def _opened(path: Path) -> ImageFile.ImageFile:
    """Read the head of a file, and refuse what is not worth decoding."""
    try:
        image = Image.open(path, formats=FORMATS)
        frames = getattr(image, "n_frames", 1)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(MAX_PIXELS) from None
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - whatever a decoder meets in a stranger's file
        raise RefusedError("broken_image", "The file begins like an image, but is none.") from None
    allowed = MAX_AVIF_PIXELS if image.format == "AVIF" else MAX_PIXELS
    if image.width * image.height > allowed or max(image.size) > MAX_SIDE:
        raise _too_large(allowed)
    # Cameras add a preview as a second picture to a JPEG; that is no animation.
    if frames > 1 and _kind(image) != "JPEG":
        raise RefusedError("animated_image", "Animations are not taken; send a single picture.")
    return image


def _too_large(pixels: int) -> RefusedError:
    return RefusedError("too_many_pixels", f"An image may have {pixels} pixels, and {MAX_SIDE} on a side.")


def _kind(image: ImageFile.ImageFile) -> str:
    return "JPEG" if image.format == "MPO" else str(image.format)


def _decode(image: Image.Image) -> None:
    """Decode, and turn as the camera says. A picture that cannot be read to its end is refused."""
    try:
        image.load()
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - see above
        raise RefusedError("broken_image", "The image is truncated or damaged.") from None
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001, S110 - its metadata are damaged, its pixels are not
        pass


def _same_quality(image: ImageFile.ImageFile) -> dict[str, Any]:
    """Keep a JPEG's own tables: the same quality at the same size."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return {}
    sampling = JpegImagePlugin.get_sampling(image)
    return {"optimize": True, "qtables": image.quantization, **({} if sampling < 0 else {"subsampling": sampling})}


def _copyright(image: ImageFile.ImageFile) -> bytes:
    """Return the notice of EXIF, IPTC or a PNG's text; empty without one."""
    try:
        iptc = IptcImagePlugin.getiptcinfo(image) or {}
        found = image.getexif().get(Base.Copyright) or iptc.get((2, 116)) or image.info.get("Copyright") or b""
    except Exception:  # noqa: BLE001 - damaged metadata are none
        return b""
    if isinstance(found, list):
        found = found[0]
    # Pillow reads the bytes of EXIF as Latin-1, whatever they are: this gives them back.
    raw = found if isinstance(found, bytes) else str(found).encode("latin-1", "replace")
    return bytes(byte for byte in raw.replace(b"\0", b" ").strip() if byte >= ord(" "))[:MAX_COPYRIGHT]


# --- writing --------------------------------------------------------------------------------------------------------


def _storable(image: Image.Image, kind: str) -> Image.Image:
    """Return a picture that its format can keep and a browser can show."""
    kept = {"JPEG": ("L", "RGB"), "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), "WEBP": ("RGB", "RGBA"), "AVIF": ("RGB", "RGBA")}
    return image if image.mode in kept[kind] else _plain(image)


def _plain(image: Image.Image) -> Image.Image:
    """Return a picture of 8 bits in grey or colours, with transparency if it had any: what can be scaled."""
    if image.mode.startswith("I"):  # 16 bits of grey, which `convert` would cut off at 255
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def _shrink(image: Image.Image, side: int) -> None:
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _stripped(image: Image.Image) -> tuple[Image.Image, bytes | None]:
    """Take away everything that came with the pixels; return also the profile that says what their colours are."""
    profile = _clean_profile(image.info.get("icc_profile"), _SPACES.get(image.mode, b"RGB "))
    transparency = image.info.get("transparency")
    image.info = {} if transparency is None or image.mode == "RGBA" else {"transparency": transparency}
    return image, profile


def _clean_profile(profile: object, space: bytes) -> bytes | None:
    """Return a profile of this colour space with the tags that colours need; None if it is not one."""
    if not isinstance(profile, bytes) or len(profile) > MAX_PROFILE_BYTES or profile[16:20] != space or profile[36:40] != b"acsp":
        return None
    try:
        return _with_known_tags(profile)
    except (struct.error, IndexError):
        return None


def _with_known_tags(profile: bytes) -> bytes:
    (count,) = struct.unpack_from(">I", profile, _PROFILE_HEADER)
    first = _PROFILE_HEADER + 4
    entries = [struct.unpack_from(">4sII", profile, first + index * _PROFILE_ENTRY) for index in range(min(count, 100))]
    kept = [entry for entry in entries if entry[0] in _PROFILE_TAGS]
    if len(kept) == count:
        return profile
    table, data, at = b"", b"", first + len(kept) * _PROFILE_ENTRY
    for name, offset, size in kept:
        value = profile[offset : offset + size]
        table += struct.pack(">4sII", name, at + len(data), len(value))
        data += value + b"\0" * (-len(value) % 4)
    # Without the checksum of the old content; and the size is what it is now.
    head = struct.pack(">I", at + len(data)) + profile[4:84] + b"\0" * 16 + profile[100:_PROFILE_HEADER]
    return head + struct.pack(">I", len(kept)) + table + data


def _metadata(notice: bytes, profile: bytes | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"icc_profile": profile}
    if notice:
        exif = Image.Exif()
        exif[Base.Copyright] = notice
        metadata["exif"] = exif.tobytes()
    return metadata


def _save(image: Image.Image, path: Path, kind: str, options: dict[str, Any], metadata: dict[str, Any]) -> None:
    try:
        image.save(path, kind, **options, **metadata)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RefusedError("no_space", "There is no space for the decoded image.") from None
        raise RefusedError("too_complex", "The image becomes too large when it is written.") from None


if __name__ == "__main__":
    main(*sys.argv[1:])
