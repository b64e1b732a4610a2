"""From a path to the template of its route, without the router: answers of the read cache never reach it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from fastapi.routing import iter_route_contexts

if TYPE_CHECKING:
    import re

    from fastapi import FastAPI

UNKNOWN = "unknown"
_REMEMBERED = 4096


class RouteNames:
    """The templates of an application."""

    def __init__(self, app: FastAPI) -> None:
        """Read the routes; those that are added later are unknown."""
        self._by_depth: defaultdict[int, list[tuple[re.Pattern[str], str]]] = defaultdict(list)
        for context in iter_route_contexts(app.routes):
            regex: Any = getattr(context, "path_regex", None)
            template: Any = getattr(context, "path", None)
            if regex is not None and template:
                self._by_depth[template.count("/")].append((regex, template))
        self._known: dict[str, str] = {}

    def of(self, path: str) -> str:
        """Return the template of a path; all paths without a route share one name."""
        name = self._known.get(path)
        if name is None:
            name = next((template for regex, template in self._by_depth.get(path.count("/"), ()) if regex.match(path)), UNKNOWN)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[path] = name
        return name
