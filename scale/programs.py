"""nginx and PgBouncer, with the configurations of `deploy/` on the ports of this machine."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from fastapi_application.core.config import PROJECT_ROOT

_DEPLOY = PROJECT_ROOT / "deploy"
_SBIN = ("/usr/sbin", "/usr/local/sbin", "/sbin")
_HEAD = """\
daemon off;
worker_processes 2;
{user}pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
access_log off;
client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
"""


def find_program(name: str) -> str | None:
    """Return the path of a program of the system; many keep these where only root looks."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN]))


@dataclass(frozen=True, slots=True)
class Upstream:
    """What PgBouncer leads to."""

    host: str
    replica_host: str
    port: str


def pgbouncer_ini(port: int, upstream: Upstream, users: Path) -> str:
    """Return PgBouncer's configuration: that of the cluster with other addresses.

    Raises:
        ValueError: it is no longer written as this expects.

    """
    documents: list[dict[str, Any]] = list(YAML(typ="safe").load_all(_DEPLOY / "base/pgbouncer.yaml"))
    (text,) = (item["data"]["pgbouncer.ini"] for item in documents if item["kind"] == "ConfigMap")
    return _replaced(
        text,
        {
            r"frankenjet = host=\S+ port=\S+": f"frankenjet = host={upstream.host} port={upstream.port}",
            r"frankenjet_replica = host=\S+ port=\S+": f"frankenjet_replica = host={upstream.replica_host} port={upstream.port}",
            r"listen_addr = .*": "listen_addr = 127.0.0.1",
            r"listen_port = .*": f"listen_port = {port}",
            r"auth_file = .*": f"auth_file = {users}",
        },
    )


def nginx_conf(port: int, redirecting: int, apis: list[int], folder: Path) -> str:
    """Return nginx's configuration: that of the example with other addresses, and without TLS.

    Raises:
        ValueError: it is no longer written as this expects.

    """
    text = _replaced(
        (_DEPLOY / "proxy/nginx.conf").read_text(),
        {
            r"listen 443 ssl;": f"listen 127.0.0.1:{port};",
            r"listen 80;": f"listen 127.0.0.1:{redirecting};",
            r" +http2 on;\n": "",
            r"(?: +ssl_\w+ .*\n)+": "",
            r"127\.0\.0\.1:8001": f"127.0.0.1:{apis[0]}",
            r"127\.0\.0\.1:8002": f"127.0.0.1:{apis[1]}",
        },
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    return f"{_HEAD.format(folder=folder, user=user)}{text}}}\n"


def _replaced(text: str, changes: dict[str, str]) -> str:
    for pattern, new in changes.items():
        text, count = re.subn(pattern, new.replace("\\", "\\\\"), text)
        if count != 1:
            raise ValueError(f"{pattern!r} is there {count} times")
    return text
