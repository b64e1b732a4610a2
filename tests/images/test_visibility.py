"""The public sees an image when its credit is known, and never one that would tell of an unpublished text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.history.steps import step
from tests.support.application import assert_problem, body
from tests.support.images import CREDIT, IMAGES, change, uploaded

if TYPE_CHECKING:
    from tests.images.conftest import Place


async def assert_hidden(place: Place, image: dict[str, Any]) -> None:
    """Check every way to an image that the public has."""
    for ref in (image["id"], image["slug"]):
        path = f"{IMAGES}/{ref}"
        for address in (path, f"{path}/revisions", f"{path}/revisions/1", f"{path}?as_of=2999-01-01T00:00:00Z"):
            assert_problem(await place.anonymous.get(address), 404, "not_found")
    assert_problem(await place.anonymous.get(image["url"]), 404, "not_found")
    for query in ({"ids": image["id"]}, {"sha256": image["sha256"]}, {"ids": image["id"], "cursor": ""}):
        assert body(await place.anonymous.get(IMAGES, params=query))["items"] == []
    changes = body(await place.anonymous.get("/api/v1/changes", params={"limit": 1000, "since": await last_but(place, 200)}))
    assert not [item for item in changes["items"] if item["id"] == image["id"] and item["slug"] is not None]
    assert body(await place.editor.get(f"{IMAGES}/{image['id']}"))["id"] == image["id"]
    assert (await place.editor.get(image["url"])).status_code == 200


async def last_but(place: Place, count: int) -> int:
    """Return the number that so many changes follow at most."""
    number, since = 0, -1
    while since != number:
        since, number = number, body(await place.anonymous.get("/api/v1/changes", params={"limit": 1000, "since": number}))["next_since"]
    return max(0, number - count)


async def assert_shown(place: Place, image: dict[str, Any]) -> None:
    """Check that the public finds an image."""
    assert body(await place.anonymous.get(f"{IMAGES}/{image['slug']}"))["id"] == image["id"]
    assert body(await place.anonymous.get(IMAGES, params={"ids": image["id"]}))["total"] == 1
    assert (await place.anonymous.get(image["url"])).status_code == 200


@pytest.mark.parametrize("missing", CREDIT)
async def test_an_image_is_shown_when_its_credit_is_complete(place: Place, missing: str) -> None:
    fields = {name: value for name, value in CREDIT.items() if name != missing}
    image = await uploaded(place.editor, None, **fields)
    await assert_hidden(place, image)
    await assert_shown(place, await change(place.editor, image, **{missing: CREDIT[missing]}))
    await change(place.editor, image, **{missing: None})
    assert_problem(await place.anonymous.get(image["url"]), 404, "not_found")


async def test_an_aircraft_shows_only_what_may_be_shown(place: Place) -> None:
    shown, hidden = await uploaded(place.editor, None, **CREDIT), await uploaded(place.editor, name="A secret picture")
    images = [{"image": hidden["slug"], "caption": "A secret caption."}, {"image": shown["slug"], "caption": "From the side."}]
    document = {"name": f"Aircraft of {shown['slug']}", "category": "airplane", "images": images}
    aircraft = body(await place.editor.post("/api/v1/aircraft", json=document), 201)
    path = f"/api/v1/aircraft/{aircraft['id']}"
    public = [path, f"{path}/revisions/1", f"{path}?as_of={aircraft['updated_at']}", f"/api/v1/aircraft?ids={aircraft['id']}"]
    for address in public:
        text = (await place.anonymous.get(address)).text
        assert "secret" not in text.lower(), address
        assert shown["slug"] in text, address
        assert hidden["slug"] in (await place.editor.get(address)).text, address
    assert [item["image"]["id"] for item in body(await place.anonymous.get(path))["images"]] == [shown["id"]]
    for ref in (hidden["slug"], hidden["id"]):
        assert body(await place.anonymous.get("/api/v1/aircraft", params={"image": ref}))["total"] == 0
        assert body(await place.editor.get("/api/v1/aircraft", params={"image": ref}))["total"] == 1

    # An editor's change of something else keeps what only editors see.
    etag = {"If-Match": (await place.editor.get(path)).headers["etag"]}
    changed = body(await place.editor.patch(path, json={"crew": 2}, headers=etag))
    assert [item["image"]["id"] for item in changed["images"]] == [hidden["id"], shown["id"]]
    await change(place.editor, hidden, **CREDIT)
    assert len(body(await place.anonymous.get(path))["images"]) == 2


async def test_an_image_of_unpublished_texts_alone_is_hidden(place: Place) -> None:
    image = await uploaded(place.editor, None, **CREDIT)
    await assert_shown(place, image)
    document = {"title": f"Draft with {image['slug']}", "category": "event", "images": [{"image": image["slug"]}]}
    article = body(await place.editor.post("/api/v1/articles", json=document), 201)
    path = f"/api/v1/articles/{article['id']}"
    await assert_hidden(place, image)

    body(await step(place.administrator, path, "publish"))
    await assert_shown(place, image)
    assert [item["image"]["id"] for item in body(await place.anonymous.get(path))["images"]] == [image["id"]]
    assert body(await place.anonymous.get(f"{IMAGES}/{image['id']}"))["articles_count"] == 1
    body(await step(place.administrator, path, "archive"))
    await assert_hidden(place, image)

    # Shown elsewhere, it is public, and still tells nothing of the text.
    aircraft = {"name": f"Aircraft of {image['slug']}", "category": "airplane", "images": [{"image": image["slug"]}]}
    body(await place.editor.post("/api/v1/aircraft", json=aircraft), 201)
    await assert_shown(place, image)
    shown = body(await place.anonymous.get(f"{IMAGES}/{image['id']}"))
    assert (shown["articles"], shown["articles_count"], shown["aircraft_count"]) == ([], 0, 1)
