"""Opaque cursors: the sort values of the last row, bound to the query they belong to and authenticated."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import orjson

from fastapi_application.core.config import get_settings
from fastapi_application.core.errors import FieldError, ValidationFailedError

_MAC_LENGTH = 12


def encode_cursor(values: list[Any], scope: str) -> str:
    """Pack the values; `scope` is the query (kind, order, filters) that the cursor continues."""
    payload = orjson.dumps(values)
    return base64.urlsafe_b64encode(_mac(payload, scope) + payload).decode().rstrip("=")


def decode_cursor(cursor: str, scope: str) -> list[Any]:
    """Unpack the values.

    Raises:
        ValidationFailedError: `invalid_cursor`: tampered with, or made for another query.

    """
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    mac, payload = data[:_MAC_LENGTH], data[_MAC_LENGTH:]
    if not payload or not hmac.compare_digest(mac, _mac(payload, scope)):
        detail = "This cursor was not made by this query."
        raise ValidationFailedError(errors=[FieldError("/query/cursor", "invalid_cursor", detail)])
    values: list[Any] = orjson.loads(payload)
    return values


def _mac(payload: bytes, scope: str) -> bytes:
    key = get_settings().access_token.verification_token_secret.get_secret_value().encode()
    message = scope.encode() + b"\0" + payload
    return hashlib.blake2b(message, key=hashlib.sha256(b"cursor" + key).digest(), digest_size=_MAC_LENGTH).digest()
