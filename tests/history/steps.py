"""What the tests of the history do again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.application import body

if TYPE_CHECKING:
    import httpx


async def etag(client: httpx.AsyncClient, path: str) -> dict[str, str]:
    """Return the header that names the current version."""
    return {"If-Match": (await client.get(path)).headers["etag"]}


async def patch(client: httpx.AsyncClient, path: str, changes: dict[str, Any], comment: str = "Because.") -> dict[str, Any]:
    """Change an entity; return it."""
    answer = await client.patch(path, json=changes, params={"comment": comment}, headers=await etag(client, path))
    changed: dict[str, Any] = body(answer)
    return changed


async def step(client: httpx.AsyncClient, path: str, name: str, document: Any = None, **params: str) -> httpx.Response:
    """Make a step of the workflow with the current version."""
    content = {} if document is None else {"json": document}
    return await client.post(f"{path}/{name}", params=params, headers=await etag(client, path), **content)


async def revisions(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    """Return all revisions of an entity, the oldest first."""
    found: list[dict[str, Any]] = body(await client.get(f"{path}/revisions", params={"size": 100}))["items"]
    return found[::-1]


async def snapshot(client: httpx.AsyncClient, path: str, number: int) -> dict[str, Any]:
    """Return the snapshot of a revision."""
    found: dict[str, Any] = body(await client.get(f"{path}/revisions/{number}"))["snapshot"]
    return found
