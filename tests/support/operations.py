"""Every operation of the OpenAPI document: a route that is added is met by the tests of all routes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi_application.core.config import Settings
from fastapi_application.create_fastapi_app import create_fastapi_app
from tests.factories.registry import FACTORIES

LOGIN, PUBLISH = "auth_login", "articles_publish"
REPRESENTATIVES = ("aircraft", "articles")
"""Kinds with everything that a kind can have, and with a workflow."""
ENDING = ("auth_logout", "auth_sessions_end_all", "users_me_delete")
"""What ends the session that asks."""
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    id: str
    method: str
    template: str
    spec: dict[str, Any]

    def __str__(self) -> str:
        """Name the operation in the list of tests."""
        return self.id

    def path(self, ref: str = "00000000-0000-4000-8000-000000000000") -> str:
        """Return the path, with the ref in its place."""
        path = self.template
        for name in ("{ref}", "{identifier}"):
            path = path.replace(name, ref)
        for number in ("{number}", "{old}", "{new}"):
            path = path.replace(number, "1")
        return path

    @property
    def has_ref(self) -> bool:
        """Whether the path names an entity."""
        return "{ref}" in self.template

    @property
    def is_representative(self) -> bool:
        """Whether it stands for itself, or for the operations that one router makes for every kind."""
        kind = self.template.split("/")[3] if self.template.count("/") > 2 else ""
        return kind not in FACTORIES or kind in REPRESENTATIVES

    @property
    def is_account(self) -> bool:
        """Whether the answer is one person's: nobody else keeps it, and it has no ETag."""
        return "accounts" in self.spec["tags"]

    @property
    def is_health(self) -> bool:
        """Whether a probe asks."""
        return self.template.startswith("/api/v1/health")

    @property
    def takes_token(self) -> bool:
        """Whether a token is looked at: not by probes, nor where somebody comes who has none (or an old one)."""
        return bool(self.spec.get("security"))

    @property
    def needs_token(self) -> bool:
        """Whether nobody gets in without a token."""
        return self.takes_token and (self.method != "GET" or self.is_account)

    @property
    def media_types(self) -> list[str]:
        """The content types of the body; empty without one."""
        return list(self.spec.get("requestBody", {}).get("content", {}))

    @property
    def reads_json(self) -> bool:
        """Whether the body is JSON."""
        return any(media_type.endswith("json") for media_type in self.media_types)

    @property
    def query(self) -> dict[str, dict[str, Any]]:
        """The query parameters by name."""
        return {item["name"]: item["schema"] for item in self.spec.get("parameters", []) if item["in"] == "query"}

    @property
    def needs_if_match(self) -> bool:
        """Whether the operation changes an entity."""
        return any(item["name"].lower() == "if-match" for item in self.spec.get("parameters", []))


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    return create_fastapi_app(Settings(_env_file=None)).openapi()


@cache
def operations() -> tuple[Operation, ...]:
    """Return every operation."""
    return tuple(
        Operation(spec["operationId"], method.upper(), path, spec)
        for path, methods in document()["paths"].items()
        for method, spec in methods.items()
    )
