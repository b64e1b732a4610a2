"""Bodies of the account routes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class LoginForm(BaseModel):
    """The password grant of OAuth 2 (RFC 6749, 4.3)."""

    model_config = ConfigDict(extra="forbid")

    username: Annotated[str, Field(min_length=1, max_length=320, description="The account's address")]
    password: Annotated[str, Field(min_length=1, max_length=1024, json_schema_extra={"format": "password"})]
    grant_type: Literal["password", ""] | None = None
    scope: Annotated[str, Field(max_length=1000)] = ""
    client_id: Annotated[str | None, Field(max_length=200)] = None
    client_secret: Annotated[str | None, Field(max_length=200)] = None


class TokenAnswer(BaseModel):
    """A bearer token (RFC 6750)."""

    access_token: Annotated[str, Field(examples=["fja_3n…"])]
    token_type: Literal["bearer"]
    expires_in: Annotated[int, Field(description="Seconds", examples=[900])]
