"""An image is an entry like any other: edited, with a history, linked, deleted."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from fastapi_application.encyclopedia.images.renditions import remove_image_files, render_image
from fastapi_application.jobs.registry import JOBS
from tests.support.application import assert_problem, body
from tests.support.images import CREDIT, IMAGES, change, picture, upload, uploaded
from tests.support.jobs import until, working

if TYPE_CHECKING:
    import asyncpg

    from tests.images.conftest import Place

WRITTEN = {**CREDIT, "name": "An Il-2", "caption": "In 1943.", "author_url": "https://example.org/jane"}
COMMENT = {"comment": "Because."}


async def etag(place: Place, path: str) -> dict[str, str]:
    """Return the header that names the current version."""
    return {"If-Match": (await place.editor.get(path)).headers["etag"]}


async def test_its_life(place: Place) -> None:
    created = await upload(place.editor, picture(), **WRITTEN)
    image = body(created, 201)
    path = f"{IMAGES}/{image['id']}"
    assert {key: image[key] for key in WRITTEN} == WRITTEN
    assert image["version"] == 1
    assert created.headers["location"] == f"{IMAGES}/{image['slug']}"
    assert body(await place.editor.get(created.headers["location"])) == image

    assert_problem(await place.editor.put(path, json=WRITTEN), 428, "precondition_required")
    read_only = await place.editor.patch(path, json={"sha256": "0" * 64}, headers={"If-Match": created.headers["etag"]})
    assert read_only.json()["errors"][0]["code"] == "read_only_field"
    replaced = await place.editor.put(path, json={"name": "Another name"}, headers={"If-Match": created.headers["etag"]})
    assert {key: body(replaced)[key] for key in WRITTEN} == {**dict.fromkeys(WRITTEN), "name": "Another name"}
    assert body(replaced)["credit"] is None
    assert body(replaced)["url"] == image["url"]
    assert_problem(await place.editor.put(path, json=WRITTEN, headers={"If-Match": created.headers["etag"]}), 412, "precondition_failed")

    reverted = await place.editor.post(f"{path}/revert", json={"revision": 1}, headers={"If-Match": replaced.headers["etag"]})
    assert {key: body(reverted)[key] for key in [*WRITTEN, "credit"]} == {key: image[key] for key in [*WRITTEN, "credit"]}
    diff = body(await place.editor.get(f"{path}/revisions/1/diff/3"))
    assert diff["patch"] == []
    then = body(await place.editor.get(path, params={"as_of": body(replaced)["updated_at"]}))
    assert (then["name"], then["credit"]) == ("Another name", None)

    renamed = await place.editor.patch(path, json={"slug": f"{image['slug']}-new"}, headers={"If-Match": reverted.headers["etag"]})
    moved = await place.anonymous.get(f"{IMAGES}/{image['slug']}")
    assert (moved.status_code, moved.headers["location"]) == (308, f"{IMAGES}/{image['slug']}-new")

    gone = await place.editor.delete(path, headers={"If-Match": renamed.headers["etag"]})
    assert gone.status_code == 204
    assert_problem(await place.editor.get(path), 404, "not_found")
    assert_problem(await place.editor.get(image["url"]), 404, "not_found")
    assert body(await place.editor.get(f"{path}/revisions"))["total"] == 5


async def test_lists_filter_and_sort_it(place: Place) -> None:
    image = await uploaded(place.editor, picture("WEBP", (64, 32)), **WRITTEN)
    assert body(await place.anonymous.get(IMAGES, params={"sha256": image["sha256"]}))["total"] == 1
    query = {"ids": image["id"], "media_type": "image/webp", "width.gte": "64", "licence": "CC-BY-SA-4.0", "status": "processing,ready"}
    (item,) = body(await place.anonymous.get(IMAGES, params=query))["items"]
    assert item == {key: image[key] for key in item}
    assert set(image) - set(item) == {"aircraft", "aircraft_count", "articles", "articles_count"}
    assert body(await place.anonymous.get(IMAGES, params={**query, "width.gte": "65"}))["total"] == 0
    assert body(await place.editor.get(IMAGES, params={"sort": "-created_at", "size": 1}))["items"][0]["id"] == image["id"]


@pytest.mark.parametrize(("kind", "document"), [("aircraft", {"category": "airplane"}), ("articles", {"category": "event"})])
async def test_what_is_shown_somewhere_cannot_be_deleted(place: Place, kind: str, document: dict[str, Any]) -> None:
    image = await uploaded(place.editor, None, **WRITTEN)
    name = f"Shows {image['slug']}"
    shown = [{"image": image["slug"], "caption": "From the side."}]
    created = await place.editor.post(
        f"/api/v1/{kind}", json={"name" if kind == "aircraft" else "title": name, "images": shown, **document}
    )
    owner = body(created, 201)
    assert owner["images"] == [{"image": {key: image[key] for key in ("id", "slug", "name")}, "caption": "From the side."}]
    path = f"{IMAGES}/{image['id']}"
    now = body(await place.editor.get(path))
    assert (now[f"{kind}_count"], [item["id"] for item in now[kind]]) == (1, [owner["id"]])
    problem = assert_problem(await place.editor.delete(path, headers=await etag(place, path)), 409, "in_use")
    assert problem["references"] == [{"kind": kind, "slug": owner["slug"], "count": 1}]
    found = body(await place.editor.get(f"/api/v1/{kind}", params={"image": image["slug"]}))
    assert [item["id"] for item in found["items"]] == [owner["id"]]

    owner_path = f"/api/v1/{kind}/{owner['id']}"
    body(await place.editor.patch(owner_path, json={"images": []}, headers=await etag(place, owner_path)))
    assert (await place.editor.delete(path, headers=await etag(place, path))).status_code == 204


async def test_an_entry_shows_an_image_once_and_only_one_that_exists(place: Place) -> None:
    image = await uploaded(place.editor)
    for refs, code in (
        ([image["slug"], image["slug"]], "duplicate_item"),
        ([image["slug"], image["id"]], "duplicate_item"),
        (["nothing"], "unknown_reference"),
    ):
        shown = [{"image": ref} for ref in refs]
        answer = await place.editor.post("/api/v1/aircraft", json={"name": "x", "category": "airplane", "images": shown})
        assert assert_problem(answer, 422, "validation_error")["errors"][0]["code"] == code


async def test_the_credit_is_made_of_the_other_fields_and_harmless(place: Place) -> None:
    image = await uploaded(place.editor)
    assert image["credit"] is None
    fields = {**WRITTEN, "name": 'A "name" & <b>', "author": "<script>alert(1)</script>", "source_url": "https://example.org/?a=1&b='2'"}
    credit = (await change(place.editor, image, **fields))["credit"]
    assert credit["text"] == 'A "name" & <b> / <script>alert(1)</script> / CC BY-SA 4.0'
    assert credit["html"] == (
        '<a href="https://example.org/?a=1&amp;b=&#x27;2&#x27;" rel="noopener">A &quot;name&quot; &amp; &lt;b&gt;</a> / '
        '<a href="https://example.org/jane" rel="noopener">&lt;script&gt;alert(1)&lt;/script&gt;</a> / '
        '<a href="https://creativecommons.org/licenses/by-sa/4.0/" rel="license noopener">CC BY-SA 4.0</a>'
    )
    plain = (await change(place.editor, image, author_url=None, licence="InC"))["credit"]
    assert plain["text"].endswith("/ In Copyright")


async def test_its_linked_data_say_who_may_use_it(place: Place) -> None:
    image = await uploaded(place.editor, None, **WRITTEN)
    described = body(await place.anonymous.get(f"{IMAGES}/{image['slug']}", headers={"Accept": "application/ld+json"}))
    assert (described["@type"], described["license"]) == ("ImageObject", "https://creativecommons.org/licenses/by-sa/4.0/")
    assert described["creator"] == {"@type": "Person", "name": "Jane Doe", "url": "https://example.org/jane"}
    assert described["contentUrl"].endswith(image["url"])
    bare = await uploaded(place.editor)
    described = body(await place.editor.get(f"{IMAGES}/{bare['slug']}", headers={"Accept": "application/ld+json"}))
    assert not {"license", "creator", "creditText"} & set(described)


# --- bytes ------------------------------------------------------------------------------------------------------------


async def test_bytes_may_be_kept_for_ever(place: Place) -> None:
    image = await place.render(await uploaded(place.editor, None, **CREDIT))
    for url in (image["url"], *(item["url"] for item in image["renditions"])):
        answer = await place.anonymous.get(url)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        unchanged = await place.anonymous.get(url, headers={"If-None-Match": answer.headers["etag"]})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        head = await place.anonymous.head(url)
        assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", answer.headers["content-type"])
    assert (await place.editor.get(url)).headers["cache-control"] == "private, no-store"
    assert hashlib.sha256((await place.anonymous.get(image["url"])).content).hexdigest() == image["sha256"]


async def test_an_address_that_no_image_has_is_404(place: Place) -> None:
    image = await uploaded(place.editor, None, **CREDIT)
    folder = image["url"].rpartition("/")[0]
    for url in (
        f"{folder}/thumb.webp",  # not made yet
        f"{folder}/original.jpg",  # it is a PNG
        f"{folder}/original",
        f"{folder}/..%2foriginal.png",
        f"{folder}/.draft-1",
        f"/media/{'0' * 64}/original.png",
        f"/media/{image['sha256'].upper()}/original.png",
        "/media/x/original.png",
    ):
        answer = await place.anonymous.get(url)
        assert answer.json()["status"] == 404, url
    assert_problem(await place.anonymous.get(f"{image['url']}?x=1"), 422, "validation_error")


# --- jobs -------------------------------------------------------------------------------------------------------------


async def test_a_worker_makes_the_renditions_and_removes_the_files_of_what_is_deleted(
    place: Place, db: asyncpg.Connection[asyncpg.Record]
) -> None:
    # What other tests have left is not for this worker: it would wait for files that are not there.
    await db.execute("UPDATE outbox_job SET done_at = now() WHERE name IN ('render_image', 'remove_image_files') AND done_at IS NULL")
    image = await uploaded(place.editor)
    path = f"{IMAGES}/{image['id']}"
    jobs = {job.name: job for job in JOBS.values() if job.handler in (render_image, remove_image_files)}
    async with working(jobs, settings=place.settings):

        async def is_ready() -> bool:
            return str(body(await place.editor.get(path))["status"]) == "ready"

        await until(is_ready)
        assert len(await place.keys(image["sha256"])) == 7
        # The version is the one that the upload was answered with: nobody's If-Match fails because of the job.
        assert body(await place.editor.get(path))["version"] == image["version"]
        assert (await place.editor.delete(path, headers=await etag(place, path))).status_code == 204

        async def is_removed() -> bool:
            return not await place.keys(image["sha256"])

        await until(is_removed)
