"""The embedded default: PostgreSQL and Redis from wheels, with their state under one directory.

A developer has no server to install: the application starts these two when it is not told to use
others, shares them between its processes, and stops them when the last process leaves.
"""

from fastapi_application.local.errors import LocalServerError
from fastapi_application.local.servers import local_servers, remove_local

__all__ = ["LocalServerError", "local_servers", "remove_local"]
