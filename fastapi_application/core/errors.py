"""The errors that services raise; `error_handlers` turns each into one RFC 9457 problem document.

Every error carries an HTTP status and a stable `code` in snake_case, which is part of the public contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

RETRY_AFTER_S = 2


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong place in a request: an RFC 6901 pointer below /body, /query, /path or /header."""

    pointer: str
    code: str
    detail: str
    extra: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The member of a problem's `errors` list."""
        return {"pointer": self.pointer, "code": self.code, "detail": self.detail, **(self.extra or {})}


class AppError(Exception):
    """An expected failure. Subclasses fix status and code; instances add what this client needs to know."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    default_detail: ClassVar[str] = "The server failed to answer this request."

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        cache_tags: Iterable[str] | None = None,
        **members: Any,
    ) -> None:
        """Describe the failure to the client; `members` become extension members of the problem.

        `cache_tags`: the failure lasts until a write touches one of them (see `core.cache_note`).
        """
        self.detail = detail or self.default_detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.cache_tags = None if cache_tags is None else frozenset(cache_tags)
        self.members = members
        super().__init__(self.detail)

    @property
    def title(self) -> str:
        """The HTTP reason phrase: what RFC 9457 advises when nothing better is known."""
        return HTTPStatus(self.status).phrase


class MalformedJsonError(AppError):
    """The body is not one JSON document in UTF-8."""

    status = 400
    code = "malformed_json"
    default_detail = "The body is not a valid JSON document."


class BadRequestError(AppError):
    """The request itself is malformed."""

    status = 400
    code = "bad_request"
    default_detail = "The request is malformed."


class InvalidCredentialsError(AppError):
    """Wrong address or password; never says which."""

    status = 400
    code = "invalid_credentials"
    default_detail = "The address or the password is wrong."


class TokenInvalidError(AppError):
    """The token of a mailed link is not genuine, expired, used, or outdated by a change of the account."""

    status = 400
    code = "token_invalid"
    default_detail = "This link is not valid, or not any more; ask for a new one."


class NotAuthenticatedError(AppError):
    """No token, or one that is unknown, expired or ended."""

    status = 401
    code = "not_authenticated"
    default_detail = "A valid bearer token is needed."

    def __init__(self, detail: str | None = None) -> None:
        """RFC 6750: every 401 names the scheme."""
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class RefreshTokenInvalidError(NotAuthenticatedError):
    """The refresh token is unknown, expired, or its session has ended."""

    code = "refresh_token_invalid"
    default_detail = "This refresh token is not valid; log in again."


class RefreshTokenReusedError(NotAuthenticatedError):
    """The refresh token was used before: somebody has a copy, so its whole session has ended."""

    code = "refresh_token_reused"
    default_detail = "This refresh token was used before, so its session has ended; log in again."


class ForbiddenError(AppError):
    """The account may not do this."""

    status = 403
    code = "forbidden"
    default_detail = "Your role does not allow this."


class EmailNotVerifiedError(ForbiddenError):
    """The account has yet to prove its address."""

    code = "email_not_verified"
    default_detail = "Verify your address before you write."


class RegistrationClosedError(ForbiddenError):
    """The operator has switched registration off."""

    code = "registration_closed"
    default_detail = "New accounts are not accepted."


class NotFoundError(AppError):
    """No such entity, or none that this reader may see."""

    status = 404
    code = "not_found"
    default_detail = "There is no such entry."


class RouteNotFoundError(AppError):
    """No route matches this path."""

    status = 404
    code = "route_not_found"
    default_detail = "There is nothing at this address."


class MethodNotAllowedError(AppError):
    """The path exists, the method does not."""

    status = 405
    code = "method_not_allowed"
    default_detail = "This address does not support the method."


class RequestTimeoutError(AppError):
    """The client sends its request too slowly."""

    status = 408
    code = "request_timeout"
    default_detail = "The request came too slowly."

    def __init__(self) -> None:
        """The rest of the body is not waited for, so the connection cannot be used again."""
        super().__init__(headers={"Connection": "close"})


class SlugTakenError(AppError):
    """An explicit slug belongs, or belonged, to another entity of the kind."""

    status = 409
    code = "slug_taken"
    default_detail = "Another entry has, or had, this slug."


class DuplicateError(AppError):
    """A unique value is taken."""

    status = 409
    code = "duplicate"
    default_detail = "Another entry has the same value."


class InUseError(AppError):
    """Other entities refer to this one."""

    status = 409
    code = "in_use"
    default_detail = "Other entries refer to this one; change them first."


class CycleError(AppError):
    """The change would make a graph cyclic."""

    status = 409
    code = "cycle"
    default_detail = "The change would close a cycle."


class StateConflictError(AppError):
    """The entity's state does not allow the step."""

    status = 409
    code = "state_conflict"
    default_detail = "The state of the entry does not allow this."


class PreconditionFailedError(AppError):
    """If-Match names a version that is not current."""

    status = 412
    code = "precondition_failed"
    default_detail = "The entry has changed since you read it; read it again, then repeat your change."


class BodyTooLargeError(AppError):
    """The body exceeds the limit of the route."""

    status = 413
    code = "body_too_large"
    default_detail = "The body is too large."


class UriTooLongError(AppError):
    """Path and query exceed the limit."""

    status = 414
    code = "uri_too_long"
    default_detail = "The address is too long."


class UnsupportedMediaTypeError(AppError):
    """The route does not read this content type."""

    status = 415
    code = "unsupported_media_type"
    default_detail = "The content type is not supported."


class ValidationFailedError(AppError):
    """Well-formed, but some values are wrong; `errors` names each."""

    status = 422
    code = "validation_error"
    default_detail = "Some values are not valid."


class CommentRequiredError(AppError):
    """A change without a word on why."""

    status = 422
    code = "comment_required"
    default_detail = "Say why in the query parameter `comment`: it is kept in the history."

    def __init__(self) -> None:
        """Name the place."""
        super().__init__(errors=[FieldError("/query/comment", self.code, self.default_detail)])


class IdempotencyKeyReusedError(AppError):
    """The key belongs to another request."""

    status = 422
    code = "idempotency_key_reused"
    default_detail = "You have used this key for another body; send a new key."

    def __init__(self) -> None:
        """Name the place."""
        super().__init__(errors=[FieldError("/header/idempotency-key", self.code, self.default_detail)])


class PreconditionRequiredError(AppError):
    """A write without If-Match."""

    status = 428
    code = "precondition_required"
    default_detail = "Send If-Match with the ETag of the version you read."


class LoginThrottledError(AppError):
    """Too many wrong passwords; the wait grows with each further one."""

    status = 429
    code = "login_throttled"
    default_detail = "Too many wrong passwords. Wait before you try again."

    def __init__(self, retry_after_s: int = 1) -> None:
        """Say when, in seconds."""
        super().__init__(headers={"Retry-After": str(retry_after_s)})


class RateLimitedError(AppError):
    """The client has used up its quota."""

    status = 429
    code = "rate_limited"
    default_detail = "You have sent too many requests; try again after Retry-After seconds."

    def __init__(self, wait_s: int = 1, headers: Mapping[str, str] | None = None) -> None:
        """Say when the next request will be let through."""
        super().__init__(headers={"Retry-After": str(wait_s), **(headers or {})})


class HeadersTooLargeError(AppError):
    """The header section exceeds the limit."""

    status = 431
    code = "headers_too_large"
    default_detail = "The request headers are too large."


class ServiceUnavailableError(AppError):
    """Something this request needs is away for now."""

    status = 503
    code = "overloaded"
    default_detail = "The server cannot answer right now."

    def __init__(self, detail: str | None = None) -> None:
        """Every 503 says when to try again."""
        super().__init__(detail, headers={"Retry-After": str(RETRY_AFTER_S)})


class DatabaseUnavailableError(ServiceUnavailableError):
    """PostgreSQL is away, too slow, or its pool is exhausted."""

    code = "database_unavailable"
    default_detail = "The database cannot be reached right now."


class SchemaOutOfDateError(ServiceUnavailableError):
    """The database has not been migrated to the schema that this code needs."""

    code = "schema_out_of_date"
    default_detail = "The database schema is being upgraded."


class MovedError(Exception):
    """The slug was renamed; the client is sent to the current one (308)."""

    def __init__(self, kind: str, ref: str, current_slug: str) -> None:
        """Keep what the handler needs to find the slug in the path and to replace it."""
        self.kind = kind
        self.ref = ref
        self.current_slug = current_slug
        super().__init__(current_slug)
