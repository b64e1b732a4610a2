"""Settings that are legal and yet not wise in production. What is not legal, the application refuses by itself."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from fastapi_application.core.config import PROJECT_ROOT
from fastapi_application.doctor.findings import Finding, failed, passed, warned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastapi_application.core.config import Network, Settings

NAME = "settings"
WIDEST_PREFIX = {4: 8, 6: 32}
"""A network of proxies that is larger than these holds strangers."""
_LOCAL = ("localhost", "127.", "::1", "/")


def check_settings(settings: Settings) -> list[Finding]:
    """Look at the settings alone: nothing is connected to."""
    found = list(_in_every_mode(settings))
    if settings.app.mode == "production":
        found += [*_secrets(settings), *_edge(settings), *_servers(settings)]
    return found or [passed(NAME, f"mode {settings.app.mode}")]


def _in_every_mode(settings: Settings) -> Iterator[Finding]:
    for network in settings.server.trusted_proxies:
        if _is_wide(network):
            yield failed(
                "SERVER__TRUSTED_PROXIES",
                f"{network} lets strangers choose the address that they have",
                "name the networks of your proxies only",
            )
    path = PROJECT_ROOT / ".env"
    if _others_can_read(path):
        yield warned(".env", "other users of this machine can read it", f"chmod 600 {path}")


def _is_wide(network: Network) -> bool:
    return network.prefixlen < WIDEST_PREFIX[network.version]


def _others_can_read(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except FileNotFoundError:
        return False


def _secrets(settings: Settings) -> Iterator[Finding]:
    tokens = settings.access_token
    if tokens.reset_password_token_secret.get_secret_value() == tokens.verification_token_secret.get_secret_value():
        yield failed("ACCESS_TOKEN__*", "both secrets are the same", "make a secret of its own for each: `openssl rand -hex 32`")
    if settings.db.is_configured and not _is_local(_database_host(settings)) and not settings.db.sqlalchemy_url().password:
        yield warned(
            "DB__PASSWORD", "the database needs no password", "set one, unless a certificate or the network's rules take its place"
        )
    if not settings.redis.password.get_secret_value() and not _url_has_password(settings):
        yield warned(
            "REDIS__PASSWORD",
            "Redis needs no password",
            "set `requirepass` and REDIS__PASSWORD: who writes to Redis chooses what readers see",
        )


def _database_host(settings: Settings) -> str:
    url = settings.db.sqlalchemy_url()
    return str(url.host or url.query.get("host", "/"))


def _url_has_password(settings: Settings) -> bool:
    url = settings.redis.url.get_secret_value() if settings.redis.url else ""
    return "@" in url or url.startswith("unix://")


def _is_local(host: str) -> bool:
    return host.startswith(_LOCAL)


def _edge(settings: Settings) -> Iterator[Finding]:
    server, public = settings.server, settings.app.public_url
    if not public.startswith("https://"):
        yield failed(
            "APP__PUBLIC_URL", f"{public} is not https: links in mails and feeds lead there", "set it to the address that readers use"
        )
    if "*" in server.allowed_hosts:
        yield warned("SERVER__ALLOWED_HOSTS", "requests for any host are served", "name your hosts, and 127.0.0.1 for health checks")
    if "*" in server.cors_origins:
        yield failed("SERVER__CORS_ORIGINS", "every site may call the API from its visitors' browsers", "name the sites that may")
    if settings.app.debug_headers:
        yield warned("APP__DEBUG_HEADERS", "answers show process ids", "leave it out")
    if settings.log.level == "DEBUG":
        yield warned("LOG__LEVEL", "DEBUG writes more than anybody reads", "set INFO")


def _servers(settings: Settings) -> Iterator[Finding]:
    for name, is_configured in (("DB__HOST", settings.db.is_configured), ("REDIS__HOST", settings.redis.is_configured)):
        if not is_configured:
            yield failed(name, "an embedded server is used", "name a server: the embedded ones are for development")
    if settings.mail.host is None:
        yield warned("MAIL__HOST", "mails wait in the database", "name an SMTP server")
    elif settings.mail.tls == "none" and not _is_local(settings.mail.host):
        yield warned("MAIL__TLS", "mails with links that reset passwords cross the network in clear", "set starttls or tls")
    url = settings.db.sqlalchemy_url()
    if (
        settings.db.is_configured
        and not _is_local(_database_host(settings))
        and url.query.get("ssl") in {None, "disable", "allow", "prefer"}
    ):
        yield warned("DB__URL", "the connection to PostgreSQL may be in clear", "add ?sslmode=verify-full, unless the network is trusted")
    if settings.storage.kind == "s3" and (settings.storage.endpoint_url or "https://").startswith("http://"):
        yield warned(
            "STORAGE__ENDPOINT_URL", "images and keys' signatures cross the network in clear", "use https, unless the network is trusted"
        )
