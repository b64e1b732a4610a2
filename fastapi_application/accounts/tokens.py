"""Opaque tokens: 256 random bits behind a prefix that says what a leaked one is; the database has only hashes."""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode

ACCESS_PREFIX = "fja_"
REFRESH_PREFIX = "fjr_"
API_PREFIX = "fjp_"
TOKEN_BYTES = 32


def new_token(prefix: str) -> str:
    """Make a token: the only time that it is known in clear."""
    return prefix + secrets.token_urlsafe(TOKEN_BYTES)


def hash_token(token: str) -> str:
    """SHA-256, base64url without padding: 43 characters. 256 random bits need no salt."""
    return urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode().rstrip("=")
