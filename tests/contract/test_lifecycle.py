"""Every writable kind, over HTTP: create → read → list → replace → patch → delete → gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.factories.registry import FACTORIES
from tests.support.application import assert_problem, body
from tests.support.entities import as_written

if TYPE_CHECKING:
    import httpx

    from tests.conftest import Make


def written_part(shown: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Return of a response what the request had."""
    return {key: as_written(shown[key]) for key in document}


@pytest.mark.parametrize("kind", sorted(FACTORIES))
async def test_lifecycle(kind: str, editor: httpx.AsyncClient, make: Make, number: int) -> None:
    factory = FACTORIES[kind]
    document = await factory.full(number + 5000, make)
    answer = await editor.post(f"/api/v1/{kind}", json=document)
    created = body(answer, 201)
    assert written_part(created, document) == document
    assert answer.headers["location"] == f"/api/v1/{kind}/{created['slug']}"

    read = await editor.get(answer.headers["location"])
    assert body(read) == created
    assert read.headers["etag"] == answer.headers["etag"]
    assert body(await editor.get(f"/api/v1/{kind}/{created['id']}")) == created
    listed = body(await editor.get(f"/api/v1/{kind}", params={"ids": created["id"]}))
    assert [item["id"] for item in listed["items"]] == [created["id"]]

    minimal = factory.minimal(number + 6000)
    etag = {"If-Match": read.headers["etag"]}
    replaced = await editor.put(answer.headers["location"], json={**minimal, "slug": created["slug"]}, headers=etag)
    assert body(replaced)["version"] == 2
    assert written_part(body(replaced), minimal) == minimal
    assert_problem(await editor.put(answer.headers["location"], json=minimal, headers=etag), 412, "precondition_failed")

    path = f"/api/v1/{kind}/{body(replaced)['slug']}"
    changes = factory.changes(number + 5000)
    patched = await editor.patch(path, json=changes, headers={"If-Match": replaced.headers["etag"]})
    assert body(patched)["version"] == 3
    assert written_part(body(patched), changes) == changes

    path = f"/api/v1/{kind}/{created['id']}"
    gone = await editor.delete(path, headers={"If-Match": patched.headers["etag"]})
    assert gone.status_code == 204
    assert_problem(await editor.get(path), 404, "not_found")
