"""Bodies of the account routes."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from fastapi_application.accounts.user_database import normalise_address
from fastapi_application.crud.models import all_kinds
from fastapi_application.crud.schemas import RequestSchema, ShortText, Timestamp, one_line

MAX_SCOPES = 50
ANONYMISED = "deleted+{id}@example.org"
_ANONYMISED_PREFIX, _ANONYMISED_DOMAIN = "deleted+", "@example.org"


def parse_address(email: str) -> str:
    """Return the address in the form in which it is stored.

    Raises:
        PydanticCustomError: it is not one, or has the form of an anonymised account's.

    """
    code, message = "invalid_address", "This is not an address."
    try:
        # Reserved domains are fine: a local encyclopedia has editors at example.org.
        address = normalise_address(validate_email(email.strip(), check_deliverability=False, test_environment=True).normalized)
    except EmailNotValidError:
        raise PydanticCustomError(code, message) from None
    if address.startswith(_ANONYMISED_PREFIX) and address.endswith(_ANONYMISED_DOMAIN):
        raise PydanticCustomError(code, message)
    return address


def comparable_address(text: str) -> str:
    """Return the stored form of what somebody signs in with, be it an address or not."""
    try:
        return parse_address(text)
    except PydanticCustomError:
        return normalise_address(text).replace("\0", "�")


def _known_scope(scope: str) -> str:
    if scope not in known_scopes():
        code = "unknown_scope"
        raise PydanticCustomError(code, "A scope is read or write:<kind>.")
    return scope


def known_scopes() -> frozenset[str]:
    """Return what a personal API token can be allowed to do."""
    return frozenset({"read", *(f"write:{kind}" for kind in all_kinds())})


Address = Annotated[str, Field(max_length=320, json_schema_extra={"format": "email"}), AfterValidator(parse_address)]
# Any password may be tried; only a new one has to be good, which depends on the address.
AnyPassword = Annotated[str, Field(min_length=1, max_length=1024, json_schema_extra={"format": "password"})]
MailedToken = Annotated[str, Field(min_length=1, max_length=2000)]
Scope = Annotated[str, Field(max_length=100, examples=["read", "write:articles"]), AfterValidator(_known_scope)]
UserLanguage = Literal["en", "ru"]
AccountRole = Literal["reader", "editor", "moderator", "administrator"]


class LoginForm(BaseModel):
    """The password grant of OAuth 2 (RFC 6749, 4.3)."""

    model_config = ConfigDict(extra="forbid")

    username: Annotated[str, Field(min_length=1, max_length=320, description="The account's address")]
    password: AnyPassword
    grant_type: Literal["password", ""] | None = None
    scope: Annotated[str, Field(max_length=1000)] = ""
    client_id: Annotated[str | None, Field(max_length=200)] = None
    client_secret: Annotated[str | None, Field(max_length=200)] = None


class TokenAnswer(BaseModel):
    """A bearer token (RFC 6750) and what prolongs it."""

    access_token: Annotated[str, Field(examples=["fja_3n…"])]
    token_type: Literal["bearer"]
    expires_in: Annotated[int, Field(description="Seconds", examples=[900])]
    refresh_token: Annotated[str, Field(description="Good for one refresh", examples=["fjr_9k…"])]
    refresh_expires_in: Annotated[int, Field(description="Seconds", examples=[2592000])]


class Refresh(RequestSchema):
    """A refresh token, used up by this."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=200)]


class Registration(RequestSchema):
    """A new account: a reader, until its address is verified and an administrator gives it more."""

    email: Address
    password: AnyPassword
    display_name: ShortText | None = None
    language: UserLanguage = "en"


class Accepted(BaseModel):
    """The same answer whether there is such an account or not."""

    status: Literal["accepted"] = "accepted"


class AddressOnly(RequestSchema):
    """Whom to send a mail."""

    email: Address


class Verification(RequestSchema):
    """The token of a mailed link."""

    token: MailedToken


class PasswordReset(RequestSchema):
    """The token of a mailed link, and the new password."""

    token: MailedToken
    password: AnyPassword


class ProfilePatch(RequestSchema):
    """Any part of one's own account. A new address or password needs the current password."""

    display_name: ShortText | None = None
    language: UserLanguage = "en"
    email: Address = ""
    password: AnyPassword = ""
    current_password: AnyPassword = ""


class Deletion(RequestSchema):
    """The current password, to be sure."""

    current_password: AnyPassword


class UserPatch(RequestSchema):
    """What an administrator may change of an account."""

    role: AccountRole | None = None
    is_active: bool | None = None
    is_superuser: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_nulls(cls, value: Any) -> Any:
        if isinstance(value, dict) and None in value.values():
            code = "null"
            raise PydanticCustomError(code, "No field here may be null.")
        return value

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.role is not None and self.is_superuser is not None and (self.role == "administrator") != self.is_superuser:
            code = "contradiction"
            raise PydanticCustomError(code, "An administrator is a superuser, and nobody else is.")
        return self


class UserRead(BaseModel):
    """An account."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    email: str
    display_name: str | None
    language: str
    role: Annotated[AccountRole, Field(validation_alias="effective_role")]
    is_superuser: bool
    is_active: bool
    is_verified: bool
    created_at: Timestamp


class SessionRead(BaseModel):
    """A sign-in."""

    id: uuid.UUID
    device: Annotated[str, Field(description="What the client calls itself")]
    address: Annotated[str, Field(description="Where it was last refreshed from")]
    created_at: Timestamp
    last_used_at: Annotated[Timestamp, Field(description="Exact to five minutes")]
    expires_at: Timestamp
    current: Annotated[bool, Field(description="Whether this request belongs to it")]


class SessionList(BaseModel):
    """All sign-ins of an account."""

    items: list[SessionRead]


def _time_with_zone(value: object) -> datetime:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        code = "invalid_time"
        raise PydanticCustomError(code, "Expected a time with its zone (RFC 3339).")
    return time


class ApiTokenCreate(RequestSchema):
    """A personal token for a script."""

    name: ShortText
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=MAX_SCOPES)]
    expires_at: Annotated[datetime, BeforeValidator(_time_with_zone), Field(description="At most a year ahead")]


class ApiTokenRead(BaseModel):
    """A personal token as its owner sees it later."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    name: str
    prefix: str
    scopes: list[str]
    created_at: Timestamp
    last_used_at: Timestamp | None
    expires_at: Timestamp


class ApiTokenCreated(ApiTokenRead):
    """A personal token, shown this once."""

    token: Annotated[str, Field(examples=["fjp_7c…"])]


class ApiTokenList(BaseModel):
    """All personal tokens of an account."""

    items: list[ApiTokenRead]


class PageQuery(BaseModel):
    """Which page."""

    model_config = ConfigDict(extra="forbid")

    page: Annotated[int, Field(ge=1, le=10_000)] = 1
    size: Annotated[int, Field(ge=1, le=100)] = 20

    @model_validator(mode="after")
    def _is_not_too_far(self) -> Self:
        if self.page * self.size > 10_000:  # noqa: PLR2004 - the limit of all lists
            code = "too_far"
            raise PydanticCustomError(code, "page × size is at most 10000.")
        return self


SearchText = Annotated[str, Field(min_length=1, max_length=200, description="Part of the address or the name"), AfterValidator(one_line)]


class UserQuery(PageQuery):
    """Which accounts."""

    q: Annotated[
        str | None, Field(min_length=1, max_length=200, description="Part of the address or the name"), AfterValidator(one_line)
    ] = None
    role: AccountRole | None = None
    is_active: bool | None = None


class AuditQuery(PageQuery):
    """Which entries of the audit log."""

    action: Annotated[str | None, Field(max_length=50, pattern="^[a-z_.-]+$")] = None
    actor_id: uuid.UUID | None = None
    subject_id: uuid.UUID | None = None


class AuditRead(BaseModel):
    """Who did what to what, and from where."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    at: Timestamp
    action: Annotated[str, Field(examples=["login", "role_changed"])]
    actor_id: Annotated[uuid.UUID | None, Field(description="Null: an operator at the machine, or nobody signed in")]
    subject_kind: str
    subject_id: uuid.UUID | None
    address: str | None
    request_id: str | None
    details: dict[str, Any]


class NumberedPage[T](BaseModel):
    """A page with its total."""

    items: list[T]
    total: int
    total_exact: bool
    page: int
    size: int
    pages: int


ACCOUNT_REQUESTS = (Refresh, Registration, AddressOnly, Verification, PasswordReset, ProfilePatch, Deletion, UserPatch, ApiTokenCreate)
"""The bodies that handlers read themselves, for the OpenAPI document."""
