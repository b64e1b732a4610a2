"""Settings: environment variables and `.env`, grouped by `__`.

`DB__HOST` is `Settings().db.host`. Secrets have no default outside local mode: in production the application
refuses to start without them.
"""

from __future__ import annotations

import secrets
from email.utils import parseaddr
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from email_validator import EmailNotValidError, validate_email
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from fastapi_application.core.quota import Quota, QuotaSetting

PROJECT_ROOT = Path(__file__).resolve().parents[2]
MIN_SECRET_LENGTH = 32
_SAMPLE_SECRETS = {"secret", "changeme", "change-me", "password"}


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _networks(value: object) -> object:
    parts = _split(value)
    return [ip_network(part, strict=False) if isinstance(part, str) else part for part in parts] if isinstance(parts, list) else parts


type StringList = Annotated[list[str], NoDecode, BeforeValidator(_split)]
type Network = IPv4Network | IPv6Network
type NetworkList = Annotated[list[Network], NoDecode, BeforeValidator(_networks)]


class ConfigurationError(Exception):
    """The settings are unusable; the text is one sentence for the operator."""


class AppSettings(BaseModel):
    """`APP__*`: what this process is."""

    mode: Literal["local", "production"] = "local"
    public_url: str = "http://localhost:8000"
    security_contact: Annotated[str | None, Field(pattern=r"^(mailto:[^@\s]+@[^@\s]+|https://\S+|tel:\+[\d-]+)$")] = None
    debug_headers: bool = False


class LocalSettings(BaseModel):
    """`LOCAL__*`: where the embedded servers keep their state."""

    dir: Path = PROJECT_ROOT / ".local"


class LogSettings(BaseModel):
    """`LOG__*`: level, shape and target of the log."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    format: Literal["json", "human"] = "json"
    file: Path | None = None


class ServerSettings(BaseModel):
    """`SERVER__*`: the HTTP edge. Concurrency and queue count requests in each process; times are seconds."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    trusted_proxies: NetworkList = []
    allowed_hosts: StringList = ["*"]
    cors_origins: StringList = []
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 24
    queue: Annotated[int, Field(ge=2, le=100_000)] = 96
    queue_wait_s: Annotated[float, Field(gt=0, le=60)] = 0.5
    deadline_s: Annotated[float, Field(gt=0, le=600)] = 5
    drain_s: Annotated[float, Field(ge=0, le=60)] = 0.5


class DatabaseSettings(BaseModel):
    """`DB__*`: PostgreSQL, by one URL or by parts. A host that begins with `/` is a Unix socket directory.

    `migration_url` leads commands past PgBouncer, or in as another role; `replica_url` leads to a streaming replica.
    """

    url: SecretStr | None = None
    host: str | None = None
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    user: str = "frankenjet"
    password: SecretStr = SecretStr("")
    name: str = "frankenjet"
    pool_size: Annotated[int, Field(ge=1, le=200)] = 10
    pgbouncer: bool = False
    migration_url: SecretStr | None = None
    replica_url: SecretStr | None = None

    @field_validator("url", "migration_url", "replica_url")
    @classmethod
    def _is_of_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            known = value is None or make_url(value.get_secret_value()).get_backend_name() in {"postgresql", "postgres"}
        except ArgumentError:
            known = False
        if not known:
            message = "must look like postgresql://user:password@host:5432/database"
            raise ValueError(message)
        return value

    @property
    def is_configured(self) -> bool:
        """Whether the operator named a server; if not, the embedded one is used."""
        return self.url is not None or self.host is not None

    def for_commands(self) -> Self:
        """Return the settings of what runs once: migrations, backups, seeds. Requests and jobs go by `url` or the parts."""
        return self if self.migration_url is None else self.model_copy(update={"url": self.migration_url, "pgbouncer": False})

    def of_replica(self) -> Self | None:
        """Return the settings of the read replica; None without one. It is behind PgBouncer if the primary is."""
        return None if self.replica_url is None else self.model_copy(update={"url": self.replica_url})

    def sqlalchemy_url(self) -> URL:
        """The URL for SQLAlchemy's asyncpg dialect."""
        if self.url is not None:
            url = make_url(self.url.get_secret_value())
            # asyncpg's name for what libpq, and so everybody's example, calls sslmode.
            query = {"ssl" if name == "sslmode" else name: value for name, value in url.query.items()}
            return url.set(drivername="postgresql+asyncpg", query=query)
        host = self.host or "localhost"
        socket = host.startswith("/")
        return URL.create(
            "postgresql+asyncpg",
            username=self.user,
            password=self.password.get_secret_value() or None,
            host=None if socket else host,
            port=None if socket else self.port,
            database=self.name,
            query={"host": host, "port": str(self.port)} if socket else {},
        )


class RedisSettings(BaseModel):
    """`REDIS__*`: Redis, by one URL or by parts."""

    url: SecretStr | None = None
    host: str | None = None
    port: Annotated[int, Field(ge=1, le=65535)] = 6379
    password: SecretStr = SecretStr("")
    db: Annotated[int, Field(ge=0)] = 0

    @field_validator("url")
    @classmethod
    def _is_of_one_primary(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            message = "must begin with redis://, rediss:// or unix://, and lead to one primary"
            raise ValueError(message)
        return value

    @property
    def is_configured(self) -> bool:
        """Whether the operator named a server; if not, the embedded one is used."""
        return self.url is not None or self.host is not None


class CacheSettings(BaseModel):
    """`CACHE__*`: the read cache."""

    enabled: bool = True
    local_max_mb: Annotated[int, Field(ge=1, le=65536)] = 64
    ttl_s: Annotated[int, Field(ge=1, le=31_536_000)] = 3600
    shared_max_age_s: Annotated[int, Field(ge=0, le=31_536_000)] = 0


class RateLimitSettings(BaseModel):
    """`RATE_LIMIT__*`: requests/seconds, for each client and policy."""

    enabled: bool = True
    anonymous: QuotaSetting = Quota(requests=120, seconds=60)
    reader: QuotaSetting = Quota(requests=300, seconds=60)
    editor: QuotaSetting = Quota(requests=600, seconds=60)
    moderator: QuotaSetting = Quota(requests=600, seconds=60)
    administrator: QuotaSetting = Quota(requests=1200, seconds=60)
    search: QuotaSetting = Quota(requests=60, seconds=60)
    login: QuotaSetting = Quota(requests=20, seconds=60)
    registration: Annotated[QuotaSetting, Field(alias="register")] = Quota(requests=10, seconds=3600)
    password_reset: QuotaSetting = Quota(requests=10, seconds=3600)
    upload: QuotaSetting = Quota(requests=60, seconds=3600)
    media: QuotaSetting = Quota(requests=600, seconds=60)

    @property
    def quotas(self) -> dict[str, Quota]:
        """The quotas by the name of their policy."""
        return {info.alias or name: getattr(self, name) for name, info in type(self).model_fields.items() if name != "enabled"}


class TasksSettings(BaseModel):
    """`TASKS__*`: the broker that wakes workers; the jobs themselves are in PostgreSQL."""

    broker_url: SecretStr | None = None

    @field_validator("broker_url")
    @classmethod
    def _is_of_a_broker(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and value.get_secret_value().partition("://")[0] not in {"redis", "rediss", "unix", "amqp", "amqps"}:
            message = "must begin with redis://, rediss://, unix://, amqp:// or amqps://"
            raise ValueError(message)
        return value


class MailSettings(BaseModel):
    """`MAIL__*`: the SMTP server. Without a host, mails are files in local mode and wait in production."""

    host: str | None = None
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    user: str = ""
    password: SecretStr = SecretStr("")
    tls: Literal["none", "starttls", "tls"] = "none"
    sender: Annotated[str, Field(alias="from")] = "FrankenJet <frankenjet@localhost.localdomain>"

    @field_validator("sender")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        try:
            validate_email(parseaddr(value)[1], check_deliverability=False, test_environment=True)
        except EmailNotValidError:
            message = "must be an address, such as FrankenJet <mail@example.org>"
            raise ValueError(message) from None
        return value


class StorageSettings(BaseModel):
    """`STORAGE__*`: where the files of images are: a folder, or a bucket that exists on an S3 server."""

    kind: Literal["directory", "s3"] = "directory"
    directory: Path | None = None
    endpoint_url: str | None = None
    bucket: str = ""
    region: str = "us-east-1"
    access_key: str = ""
    secret_key: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.kind == "s3" and not self.bucket:
            message = "STORAGE__BUCKET must name a bucket"
            raise ValueError(message)
        if bool(self.access_key) != bool(self.secret_key.get_secret_value()):
            message = "STORAGE__ACCESS_KEY and STORAGE__SECRET_KEY belong together: set both, or neither"
            raise ValueError(message)
        return self


class AuthSettings(BaseModel):
    """`AUTH__*`: who may register, lifetimes and waits in seconds."""

    allow_registration: bool = True
    access_ttl_s: Annotated[int, Field(ge=1)] = 900
    refresh_ttl_s: Annotated[int, Field(ge=1)] = 2_592_000
    login_free_failures: Annotated[int, Field(ge=1, le=10**9)] = 5
    login_max_wait_s: Annotated[int, Field(ge=1, le=86_400)] = 900


class AccessTokenSettings(BaseModel):
    """`ACCESS_TOKEN__*`: secrets that sign the links of verification and password-reset mails."""

    reset_password_token_secret: SecretStr = SecretStr("")
    verification_token_secret: SecretStr = SecretStr("")


class MetricsSettings(BaseModel):
    """`METRICS__*`: where Prometheus finds this process; nowhere without a port."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] | None = None


class TracingSettings(BaseModel):
    """`TRACING__*`: where spans go (OTLP over HTTP); nowhere if not set."""

    otlp_endpoint: str | None = None

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            message = "must begin with http:// or https://"
            raise ValueError(message)
        return value


class Settings(BaseSettings):
    """All settings. Read once per process by `get_settings`."""

    model_config = SettingsConfigDict(
        env_nested_delimiter="__",
        env_file=PROJECT_ROOT / ".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
    )

    app: AppSettings = AppSettings()
    local: LocalSettings = LocalSettings()
    log: LogSettings = LogSettings()
    server: ServerSettings = ServerSettings()
    db: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    tasks: TasksSettings = TasksSettings()
    mail: MailSettings = MailSettings()
    storage: StorageSettings = StorageSettings()
    cache: CacheSettings = CacheSettings()
    rate_limit: RateLimitSettings = RateLimitSettings()
    auth: AuthSettings = AuthSettings()
    access_token: AccessTokenSettings = AccessTokenSettings()
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings = TracingSettings()

    _made_up: list[str] = PrivateAttr(default_factory=list)

    @property
    def made_up_secrets(self) -> tuple[str, ...]:
        """The variables of the secrets that nobody has set, so that this process made them up."""
        return tuple(self._made_up)

    @model_validator(mode="after")
    def _secrets_are_set(self) -> Self:
        weak: list[str] = []
        for name in AccessTokenSettings.model_fields:
            value = getattr(self.access_token, name).get_secret_value()
            if self.app.mode == "local" and not value:
                # Good for one process; commands of local mode keep one for the installation in its place.
                setattr(self.access_token, name, SecretStr(secrets.token_urlsafe(MIN_SECRET_LENGTH)))
                self._made_up.append(f"ACCESS_TOKEN__{name.upper()}")
            elif self.app.mode == "production" and _is_weak(value):
                weak.append(f"ACCESS_TOKEN__{name.upper()}")
        if weak:
            message = f"{' and '.join(weak)} must be set to at least {MIN_SECRET_LENGTH} random characters in production"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _mail_is_encrypted(self) -> Self:
        if self.app.mode == "production" and "tls" not in self.mail.model_fields_set:
            self.mail.tls = "starttls"
        if self.app.mode == "production" and self.mail.tls == "none" and self.mail.password.get_secret_value():
            message = "MAIL__PASSWORD would cross the network in clear: set MAIL__TLS to starttls or tls"
            raise ValueError(message)
        return self


def _is_weak(secret: str) -> bool:
    repeated = len(set(secret)) < MIN_SECRET_LENGTH // 4
    return len(secret) < MIN_SECRET_LENGTH or repeated or any(sample in secret.lower() for sample in _SAMPLE_SECRETS)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Read the settings once.

    Raises:
        ConfigurationError: a value is missing or unusable; the text names the variable, never its value.

    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(_sentence(item["loc"], item["msg"]) for item in error.errors())
        raise ConfigurationError(problems) from None


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    name = "__".join(str(part).upper() for part in location)
    text = message.removeprefix("Value error, ")
    return f"{name}: {text}" if name else text
