"""Turns pydantic's findings into the `errors` of a problem, without ever echoing the input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi_application.core.errors import FieldError, ValidationFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import ValidationError

MAX_ERRORS = 50
_CODES = {"missing": "missing", "value_error": "invalid_value", "assertion_error": "invalid_value"}


def validation_failed(error: ValidationError, root: str, read_only: frozenset[str] = frozenset()) -> ValidationFailedError:
    """Build the 422 for a pydantic error on a document below `root`."""
    findings = error.errors(include_url=False, include_input=False, include_context=True)
    return ValidationFailedError(errors=field_errors(findings, root, read_only))


def field_errors(
    findings: Sequence[Mapping[str, Any]],
    root: str,
    read_only: frozenset[str] = frozenset(),
    allowed: Sequence[str] = (),
) -> list[FieldError]:
    """Name each wrong place once; `allowed` are the parameters that a query may have."""
    errors: dict[tuple[str, str], FieldError] = {}
    for finding in findings[:MAX_ERRORS]:
        field_error = _field_error(finding, root, read_only, allowed)
        errors.setdefault((field_error.pointer, field_error.code), field_error)
    return list(errors.values())


def _field_error(finding: Mapping[str, Any], root: str, read_only: frozenset[str], allowed: Sequence[str]) -> FieldError:
    location = finding["loc"]
    if len(location) > 2 and location[-1] == "[key]":  # noqa: PLR2004 - pydantic's way to say that the name itself is wrong
        location = location[:-1]
    pointer = root + "".join(f"/{_escape(part)}" for part in location)
    if finding["type"] != "extra_forbidden":
        return FieldError(pointer, _CODES.get(finding["type"], finding["type"]), _sentence(finding["msg"]))
    if root == "/query":
        return FieldError(pointer, "unknown_parameter", "There is no such parameter.", {"allowed": sorted(allowed)})
    if len(location) == 1 and location[0] in read_only:
        return FieldError(pointer, "read_only_field", "This field is read only.")
    return FieldError(pointer, "unknown_field", "There is no such field.")


def _escape(part: Any) -> str:
    """RFC 6901 escapes. A name that the client made up is cut: it may be a megabyte, or no text at all."""
    text = str(part).encode("utf-8", "replace").decode()[:200]
    return text.replace("~", "~0").replace("/", "~1")


def _sentence(message: str) -> str:
    text = message.removeprefix("Value error, ").strip()
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."
