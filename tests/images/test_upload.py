"""From a file that somebody sends to the bytes that everybody gets."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base

from fastapi_application.core.limits import MAX_IMAGE_BYTES
from fastapi_application.core.quota import Quota
from fastapi_application.encyclopedia.images.files import file_key
from fastapi_application.encyclopedia.images.service import RENDER_JOB
from fastapi_application.jobs.outbox import MAX_ATTEMPTS
from fastapi_application.jobs.registry import JOBS, JobError
from tests.support.application import assert_problem, body, running_application
from tests.support.images import (
    BLUE,
    COPYRIGHT,
    CREDIT,
    IMAGES,
    RED,
    SECRETS,
    change,
    encoded,
    huge_png,
    opened,
    photograph,
    picture,
    srgb,
    upload,
    uploaded,
)
from tests.support.jobs import until, until_given_up, working

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.images.conftest import Place
    from tests.support.application import Application
    from tests.support.jobs import Connection

MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "AVIF": "image/avif"}


def is_like(color: Any, wanted: tuple[int, int, int]) -> bool:
    """Whether a pixel has a colour, as far as a lossy format keeps it."""
    return all(abs(have - want) < 40 for have, want in zip(color, wanted, strict=True))


def assert_clean_and_upright(content: bytes, where: str) -> None:
    """Check one stored file of a photograph."""
    found = opened(content)
    assert found.height > found.width, where
    pixels = found.convert("RGB")
    assert is_like(pixels.getpixel((found.width // 2, 2)), RED), where
    assert is_like(pixels.getpixel((found.width // 2, found.height - 3)), BLUE), where
    assert [secret for secret in SECRETS if secret in content] == [], where
    exif = found.getexif()
    assert dict(exif) == {Base.Copyright: COPYRIGHT}, where
    assert not exif.get_ifd(IFD.GPSInfo), where
    assert not exif.get_ifd(IFD.Exif), where
    assert found.info["icc_profile"] == srgb(), where


@pytest.mark.parametrize("form", MEDIA_TYPES)
async def test_every_stored_byte_of_a_photograph_is_upright_and_tells_nothing_of_its_owner(place: Place, form: str) -> None:
    sent = photograph(form)
    assert [secret for secret in SECRETS if secret in sent], "the photograph must have something to hide"
    image = await uploaded(place.editor, sent)
    assert (image["status"], image["renditions"]) == ("processing", [])
    assert (image["width"], image["height"], image["media_type"]) == (800, 1200, MEDIA_TYPES[form])
    image = await place.render(image)
    assert image["status"] == "ready"
    assert image["version"] == 1, "the job is no change of the entry"
    urls = [image["url"], *(rendition["url"] for rendition in image["renditions"])]
    assert len(await place.keys(image["sha256"])) == len(urls)
    for url in urls:
        assert_clean_and_upright(await place.bytes_of(url), url)
    original = await place.bytes_of(image["url"])
    assert hashlib.sha256(original).hexdigest() == image["sha256"]
    assert len(original) == image["bytes"]


async def test_renditions_are_named_in_both_formats_and_never_larger_than_the_original(place: Place) -> None:
    large = await place.render(await uploaded(place.editor, picture("JPEG", (2400, 1000))))
    sizes = {"thumb": (320, 133), "medium": (960, 400), "large": (1920, 800)}
    shown = [(item["name"], item["media_type"], (item["width"], item["height"])) for item in large["renditions"]]
    assert sorted(shown) == sorted((name, kind, size) for name, size in sizes.items() for kind in ("image/webp", "image/jpeg"))
    small = await place.render(await uploaded(place.editor, picture("WEBP", (400, 300))))
    shown = [(item["name"], item["media_type"], (item["width"], item["height"])) for item in small["renditions"]]
    assert shown == [
        ("thumb", "image/webp", (320, 240)),
        ("medium", "image/webp", (400, 300)),
        ("large", "image/webp", (400, 300)),
    ]
    for image in (large, small):
        for item in image["renditions"]:
            found = opened(await place.bytes_of(item["url"]))
            assert (found.size, MEDIA_TYPES[str(found.format)]) == ((item["width"], item["height"]), item["media_type"])


async def test_the_same_file_is_the_same_image(place: Place) -> None:
    sent = picture()
    image = await uploaded(place.editor, sent, name="The first name")
    again = await upload(place.editor, sent, name="Another name")
    assert body(again) == image
    assert again.headers["location"] == f"{IMAGES}/{image['slug']}"
    downloaded = await place.bytes_of(image["url"])
    assert body(await upload(place.editor, downloaded))["id"] == image["id"]
    assert len(await place.keys(image["sha256"])) == 1


async def test_of_the_same_file_sent_by_several_at_once_comes_one_image(place: Place) -> None:
    sent = picture()
    answers = await asyncio.gather(*(upload(place.editor, sent) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_repeated_request_gets_the_same_answer(place: Place) -> None:
    sent, key = picture(), {"Idempotency-Key": hashlib.sha256(picture()).hexdigest()}

    async def send(content: bytes, **fields: str) -> Any:
        return await place.editor.post(IMAGES, files={"file": ("a.png", content)}, data=fields, headers=key)

    first = await send(sent, name="One")
    again = await send(sent, name="One")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert_problem(await send(sent, name="Two"), 422, "idempotency_key_reused")
    assert_problem(await send(picture(), name="One"), 422, "idempotency_key_reused")


# --- what is refused --------------------------------------------------------------------------------------------------


def truncated(form: str) -> bytes:
    """Return the first half of a picture."""
    whole = encoded(Image.effect_noise((300, 200), 90).convert("RGB"), form)
    return whole[: len(whole) // 2]


def animation(form: str) -> bytes:
    """Return two pictures in one file."""
    frames = [Image.new("RGB", (50, 40), color) for color in (RED, BLUE)]
    return encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=100)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
HOSTILE: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "20000 x 20000": (lambda: huge_png(20_000), 422, "too_many_pixels"),
    "just too many pixels": (lambda: huge_png(6_400), 422, "too_many_pixels"),
    "truncated JPEG": (lambda: truncated("JPEG"), 422, "broken_image"),
    "truncated PNG": (lambda: truncated("PNG"), 422, "broken_image"),
    "truncated WebP": (lambda: truncated("WEBP"), 422, "broken_image"),
    "truncated AVIF": (lambda: truncated("AVIF"), 422, "broken_image"),
    "animated PNG": (lambda: animation("PNG"), 422, "animated_image"),
    "animated WebP": (lambda: animation("WEBP"), 422, "animated_image"),
    "animated AVIF": (lambda: animation("AVIF"), 422, "animated_image"),
    "head of a JPEG only": (lambda: b"\xff\xd8\xff\xe0" + b"\0" * 400, 422, "broken_image"),
    "empty": (lambda: b"", 422, "empty_file"),
    "SVG": (lambda: SVG, 415, "unsupported_media_type"),
    "HTML": (lambda: b"<!doctype html><script>alert(1)</script>", 415, "unsupported_media_type"),
    "GIF": (lambda: encoded(Image.new("RGB", (9, 9)), "GIF"), 415, "unsupported_media_type"),
    "TIFF": (lambda: encoded(Image.new("RGB", (9, 9)), "TIFF"), 415, "unsupported_media_type"),
    "30 MB": (lambda: picture() + b"\0" * 30_000_000, 413, "body_too_large"),
    "a byte too long": (lambda: picture("JPEG").ljust(MAX_IMAGE_BYTES + 1, b"\0"), 413, "body_too_large"),
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_what_is_no_picture_of_ours_is_refused_and_leaves_nothing(place: Place, kind: str) -> None:
    make, status, code = HOSTILE[kind]
    before = await place.keys()
    answer = await upload(place.editor, make(), "photo.png")
    if status == 422:
        problem = assert_problem(answer, 422, "validation_error")
        assert [(item["pointer"], item["code"]) for item in problem["errors"]] == [("/body/file", code)]
    else:
        assert_problem(answer, status, code)
    assert await place.keys() == before


async def test_what_follows_a_picture_in_its_file_is_not_stored(place: Place) -> None:
    script = b"<script>alert(document.domain)</script>"
    for form in MEDIA_TYPES:
        image = await uploaded(place.editor, picture(form) + script)
        assert script not in await place.bytes_of(image["url"]), form


async def test_a_picture_as_large_as_is_allowed_is_taken(place: Place) -> None:
    image = await uploaded(place.editor, picture("JPEG").ljust(MAX_IMAGE_BYTES, b"\0"))
    assert image["bytes"] < 10_000


FORMS: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "no file": ({"data": {"name": "x"}, "files": {"other": b"x"}}, 422, "/body/file", "missing"),
    "an unknown field": ({"data": {"colour": "red"}}, 422, "/body/colour", "unknown_field"),
    "a read-only field": ({"data": {"sha256": "0"}}, 422, "/body/sha256", "read_only_field"),
    "no licence": ({"data": {"licence": "free for all"}}, 422, "/body/licence", "unknown_licence"),
    "a script as an address": ({"data": {"source_url": "javascript:alert(1)"}}, 422, "/body/source_url", "invalid_url"),
    "a NUL": ({"data": {"name": "a\0b"}}, 422, "/body/name", "control_character"),
    "a long name": ({"data": {"name": "x" * 201}}, 422, "/body/name", "string_too_long"),
    "a field without an end": ({"data": {"caption": "x" * 20_000}}, 422, "/body/caption", "string_too_long"),
    "two files": ({"files": [("file", b"a"), ("file", b"b")]}, 422, "/body/file", "duplicate_field"),
    "a field twice": ({"data": {"name": ["a", "b"]}}, 422, "/body/name", "duplicate_field"),
}


@pytest.mark.parametrize("kind", FORMS)
async def test_a_wrong_form_is_refused_with_the_place(place: Place, kind: str) -> None:
    sent, status, pointer, code = FORMS[kind]
    answer = await place.editor.post(IMAGES, **{"files": {"file": ("a.png", picture())}, **sent})
    problem = assert_problem(answer, status, "validation_error")
    assert (pointer, code) in [(item["pointer"], item["code"]) for item in problem["errors"]]


async def test_a_malformed_body_is_refused(place: Place) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    for content in (b"", b"nonsense", b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf a file'):
        assert_problem(await place.editor.post(IMAGES, content=content, headers=form), 400, "bad_request")
    assert_problem(await place.editor.post(IMAGES, content=b"", headers={"Content-Type": "multipart/form-data"}), 400, "bad_request")
    refused = await place.editor.post(IMAGES, json={"name": "x"})
    assert_problem(refused, 415, "unsupported_media_type")
    assert refused.headers["accept-post"] == "multipart/form-data"


async def test_strangers_are_refused_before_their_body_is_read(place: Place) -> None:
    async def never() -> Any:
        raise AssertionError
        yield b""

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert_problem(await place.anonymous.post(IMAGES, content=never(), headers=headers), 401, "not_authenticated")


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("Il-2 over Kursk.jpeg", "Il-2 over Kursk"),
        ("C:\\Users\\jane\\Ил-2.jpg", "Ил-2"),
        ("../../etc/passwd", "passwd"),
        ("a\u202egnp.exe", "a gnp"),
        ("x" * 300, "x" * 200),
        (".jpg", ".jpg"),
        ("", "Image"),
    ],
)
async def test_an_image_without_a_name_is_called_like_its_file(place: Place, file_name: str, name: str) -> None:
    # Written by hand: the client's library would leave out an empty file name.
    part = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"\r\n\r\n'.replace("\\", "\\\\").encode()
    answer = await place.editor.post(
        IMAGES, content=part + picture() + b"\r\n--x--\r\n", headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert body(answer, 201)["name"] == name


async def test_an_original_that_is_away_is_waited_for(place: Place) -> None:
    image = await uploaded(place.editor, picture())
    await place.storage.delete([f"images/{key}" for key in await place.keys(image["sha256"])])
    with pytest.raises(JobError, match="original is not in the storage"):
        await place.render(image)
    assert (await change(place.editor, image, alt="Still here."))["status"] == "processing"


async def test_a_rendition_that_cannot_be_made_is_told(place: Place, tmp_path: Path) -> None:
    image = await uploaded(place.editor, picture())
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"no picture any more")
    await place.storage.put(file_key(image["sha256"], "original.png"), damaged, "image/png")
    image = await place.render(image)
    assert (image["status"], image["problem"], image["renditions"]) == ("failed", "not_decodable", [])


async def test_a_job_that_is_given_up_is_told_and_the_same_file_is_another_try(place: Place, db: Connection, tmp_path: Path) -> None:
    content = picture()
    image = await uploaded(place.editor, content, **CREDIT)
    key, kept = file_key(image["sha256"], "original.png"), tmp_path / "kept"
    kept.write_bytes(await place.bytes_of(image["url"]))
    await place.storage.delete([key])
    identifier = await db.fetchval("SELECT id FROM outbox_job WHERE payload->>'image_id' = $1", image["id"])
    await db.execute("DELETE FROM outbox_job WHERE id <> $1", identifier)  # those of other tests
    await db.execute("UPDATE outbox_job SET attempts = $2, run_at = now() WHERE id = $1", identifier, MAX_ATTEMPTS - 1)
    path = f"{IMAGES}/{image['id']}"
    async with working({RENDER_JOB: JOBS[RENDER_JOB]}, settings=place.settings):
        await until_given_up(db, identifier)
        failed = body(await place.anonymous.get(path))
        assert (failed["status"], failed["problem"], failed["version"]) == ("failed", "given_up", image["version"])

        await place.storage.put(key, kept, image["media_type"])
        again = body(await upload(place.editor, content))
        assert (again["id"], again["status"], again["problem"]) == (image["id"], "processing", None)
        ready = await until(lambda: _ready(place, path))
    assert ready["problem"] is None
    assert len(ready["renditions"]) > 0
    assert body(await upload(place.editor, content))["status"] == "ready"


async def _ready(place: Place, path: str) -> Any:
    shown = body(await place.anonymous.get(path))
    return shown if shown["status"] == "ready" else None


_addresses = (f"10.251.0.{number}" for number in range(1, 255))


def stranger(application: Application) -> httpx.AsyncClient:
    """Return a client of an address that no test has had."""
    transport = httpx.ASGITransport(application.transport.app, client=(next(_addresses), 1))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def test_bytes_have_a_quota_of_their_own(place: Place) -> None:
    limits = place.settings.rate_limit.model_copy(update={"media": Quota(requests=2, seconds=3600)})
    settings = place.settings.model_copy(update={"rate_limit": limits})
    image = await uploaded(place.editor, picture(), **CREDIT)
    async with running_application(settings) as application, stranger(application) as client:
        answers = [await client.get(image["url"]) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert 0 < int(answers[2].headers["retry-after"]) <= 1800
        assert (await client.head(image["url"])).status_code == 429
        assert (await client.get(f"{IMAGES}/{image['id']}")).status_code == 200
