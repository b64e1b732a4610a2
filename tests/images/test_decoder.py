"""The decoder in its process: what it keeps of a picture, and what stops it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from fastapi_application.core.errors import ServiceUnavailableError, ValidationFailedError
from fastapi_application.encyclopedia.images import decoding
from fastapi_application.encyclopedia.images.decoding import Decoder, Original, is_image
from tests.support.images import RED, encoded, opened, picture, srgb

if TYPE_CHECKING:
    from pathlib import Path


async def clean(folder: Path, content: bytes) -> tuple[Original, Image.Image]:
    """Decode a file; return what is known of it, and the picture that was written."""
    source = folder / "upload"
    source.write_bytes(content)
    original = await Decoder().clean(source, folder)
    return original, opened(original.path.read_bytes())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "RGB", "RGBA"])
async def test_every_kind_of_pixels_can_be_kept_and_scaled(tmp_path: Path, mode: str) -> None:
    original, found = await clean(tmp_path, encoded(Image.new(mode, (700, 500)), "PNG"))
    assert (found.mode, found.size, original.media_type) == (mode, (700, 500), "image/png")
    made = await Decoder().render(original.path, tmp_path)
    assert [(item.file_name, item.width) for item in made] == [
        ("large.webp", 700), ("large.png", 700), ("medium.webp", 700), ("medium.png", 700), ("thumb.webp", 320), ("thumb.png", 320),
    ]  # fmt: skip
    has_alpha = mode in {"LA", "RGBA"}
    assert all(opened(item.path.read_bytes()).has_transparency_data == has_alpha for item in made)


async def test_sixteen_bits_of_grey_are_scaled_and_not_cut_off(tmp_path: Path) -> None:
    original, _ = await clean(tmp_path, encoded(Image.new("I;16", (400, 400), 0x8000), "PNG"))
    made = await Decoder().render(original.path, tmp_path)
    assert opened(made[-1].path.read_bytes()).getpixel((5, 5)) == 0x80


async def test_a_picture_for_printing_becomes_one_for_screens(tmp_path: Path) -> None:
    _, found = await clean(tmp_path, encoded(Image.new("CMYK", (60, 40), (0, 255, 255, 0)), "JPEG"))
    assert found.mode == "RGB"
    red, green, blue = found.getpixel((5, 5))  # type: ignore[misc]
    assert red > 200
    assert max(green, blue) < 60


async def test_a_jpeg_keeps_its_quality(tmp_path: Path) -> None:
    noise = Image.effect_noise((300, 200), 60).convert("RGB")
    for quality in (40, 95):
        sent = encoded(noise, "JPEG", quality=quality)
        _, found = await clean(tmp_path, sent)
        assert found.quantization == opened(sent).quantization  # type: ignore[attr-defined]


@pytest.mark.parametrize("notice", ["(c) Jane Doe", "© Ян Доу"])
async def test_the_copyright_notice_stays(tmp_path: Path, notice: str) -> None:
    exif = Image.Exif()
    exif[0x8298] = notice.encode()
    _, found = await clean(tmp_path, encoded(Image.new("RGB", (40, 30)), "JPEG", exif=exif))
    assert found.getexif()[0x8298].encode("latin-1").decode() == notice
    text = PngImagePlugin.PngInfo()
    text.add_text("Copyright", "(c) Jane Doe")
    text.add_text("Comment", "A secret")
    _, found = await clean(tmp_path, encoded(Image.new("RGB", (40, 30)), "PNG", pnginfo=text))
    assert found.getexif()[0x8298] == "(c) Jane Doe"
    assert b"secret" not in (tmp_path / "original").read_bytes()


def with_tag(profile: bytes, name: bytes, value: bytes) -> bytes:
    """Return a colour profile with one more tag."""
    (count,) = struct.unpack_from(">I", profile, 128)
    end = 132 + count * 12
    entries = b"".join(struct.pack(">4sII", tag, offset + 12, size) for tag, offset, size in struct.iter_unpack(">4sII", profile[132:end]))
    entries += struct.pack(">4sII", name, len(profile) + 12, len(value))
    whole = profile[:128] + struct.pack(">I", count + 1) + entries + profile[end:] + value
    return struct.pack(">I", len(whole)) + whole[4:]


async def test_a_colour_profile_loses_what_names_a_device(tmp_path: Path) -> None:
    private = with_tag(srgb(), b"mmod", b"SERIAL-4711 ")
    ImageCms.ImageCmsProfile(io.BytesIO(private))
    _, found = await clean(tmp_path, encoded(Image.new("RGB", (40, 30), RED), "PNG", icc_profile=private))
    kept = found.info["icc_profile"]
    assert b"SERIAL-4711" not in kept
    names = {tag for tag, _, _ in struct.iter_unpack(">4sII", kept[132 : 132 + 12 * struct.unpack_from(">I", kept, 128)[0]])}
    assert {b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"wtpt"} <= names
    profile = ImageCms.ImageCmsProfile(io.BytesIO(kept))
    converted = ImageCms.profileToProfile(found.convert("RGB"), profile, ImageCms.createProfile("sRGB"))
    assert converted is not None
    assert converted.getpixel((1, 1)) == RED


@pytest.mark.parametrize("profile", [b"", b"nonsense", srgb()[:140], srgb()[:16] + b"CMYK" + srgb()[20:], srgb() + b"\0" * 2**20])
async def test_what_is_no_profile_of_these_colours_is_left_out(tmp_path: Path, profile: bytes) -> None:
    _, found = await clean(tmp_path, encoded(Image.new("RGB", (40, 30)), "JPEG", icc_profile=profile or None))
    assert "icc_profile" not in found.info or found.info["icc_profile"] == srgb()[:140]


def test_only_the_first_bytes_say_what_a_file_is() -> None:
    assert all(is_image(picture(form)[:64]) for form in ("JPEG", "PNG", "WEBP", "AVIF"))
    assert not any(map(is_image, (b"", b"GIF89a", b"<svg", b"RIFF\0\0\0\0AVI ", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", b"%PDF", b"BM")))


# --- limits -----------------------------------------------------------------------------------------------------------


def program(folder: Path, text: str) -> Path:
    """Write another program in the place of the decoder."""
    path = folder / "program.py"
    path.write_text(text)
    return path


async def run(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Any:
    """Decode with another program."""
    monkeypatch.setattr(decoding, "PROGRAM", program(folder, text))
    source = folder / "upload"
    source.write_bytes(picture())
    return await Decoder().clean(source, folder)


@pytest.mark.parametrize(
    "text",
    [
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "raise SystemExit(3)",
        "print('no JSON')",
        "print('x' * 200_000)",
    ],
    ids=["killed", "fails", "nonsense", "endless"],
)
async def test_a_decoder_that_dies_is_the_fault_of_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    with pytest.raises(ValidationFailedError) as caught:
        await run(tmp_path, monkeypatch, text)
    assert [error.code for error in caught.value.errors] == ["too_complex"]


async def test_a_full_disk_is_not_the_fault_of_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = decoding.PROGRAM.read_text() + "\n"
    full = "def _full(*_, **__):\n    raise OSError(errno.ENOSPC, 'full')\n\n\nImage.Image.save = _full\n"
    before, main = text.split('if __name__ == "__main__":')
    with pytest.raises(ServiceUnavailableError, match="no space"):
        await run(tmp_path, monkeypatch, f'{before}{full}if __name__ == "__main__":{main}')


def test_the_libraries_of_the_decoder_stay_out_of_the_server() -> None:
    program = "import sys, fastapi_application.create_fastapi_app; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


async def test_a_slow_decoder_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "CLEAN_S", 0.5)
    with pytest.raises(ServiceUnavailableError):
        await run(tmp_path, monkeypatch, "import os, time, pathlib; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(600)")
    written = tmp_path / "pid"
    if written.exists():  # it was killed after its first line, and before its last
        with pytest.raises(ProcessLookupError):
            os.kill(int(written.read_text()), 0)


async def test_the_decoder_knows_no_setting_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE__SECRET_KEY", "a secret")
    text = "import json, os; print(json.dumps({'refused': json.dumps(dict(os.environ)), 'detail': ''}))"
    with pytest.raises(ValidationFailedError) as caught:
        await run(tmp_path, monkeypatch, text)
    seen = json.loads(caught.value.errors[0].code)
    assert "PATH" in seen
    assert not [name for name in seen if "__" in name]


async def test_pictures_take_turns_and_nobody_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "WAIT_S", 0.05)
    monkeypatch.setattr(decoding, "PROGRAM", program(tmp_path, "import time; time.sleep(600)"))
    source = tmp_path / "upload"
    source.write_bytes(picture())
    decoder = Decoder()
    first = asyncio.create_task(decoder.clean(source, tmp_path))
    while not decoder._turn.locked():  # noqa: SLF001, ASYNC110 - nothing tells when it has begun
        await asyncio.sleep(0.01)
    with pytest.raises(ServiceUnavailableError, match="wait to be decoded"):
        await decoder.clean(source, tmp_path)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert not decoder._turn.locked()  # noqa: SLF001


MEMORY = """
import json, resource, runpy, sys
decoder = runpy.run_path(sys.argv[0].replace('program.py', 'decoder.py'), run_name='decoder')
decoder['LIMITS'][resource.RLIMIT_AS] = 150 * 1024 * 1024
decoder['main'](*sys.argv[1:])
"""


async def test_a_picture_that_needs_too_much_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "decoder.py").write_bytes(decoding.PROGRAM.read_bytes())
    monkeypatch.setattr(decoding, "PROGRAM", program(tmp_path, MEMORY))
    source = tmp_path / "upload"
    source.write_bytes(encoded(Image.new("RGB", (6000, 5000)), "PNG"))
    with pytest.raises(ValidationFailedError) as caught:
        await Decoder().clean(source, tmp_path)
    assert [error.code for error in caught.value.errors] == ["too_complex"]
    source.write_bytes(picture())
    assert (await Decoder().clean(source, tmp_path)).width == 40


def test_the_limits_are_set_before_a_stranger_s_file_is_opened() -> None:
    assert sys.platform == "linux"
    text = decoding.PROGRAM.read_text()
    assert text.index("resource.setrlimit(") < text.index("_TASKS[task](")
