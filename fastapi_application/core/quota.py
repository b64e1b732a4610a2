"""How a quota of the rate limits is written in settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode


class Quota(BaseModel):
    """How many requests in how many seconds; written `120/60`."""

    model_config = ConfigDict(frozen=True)

    requests: Annotated[int, Field(ge=1, le=1_000_000_000)]
    seconds: Annotated[int, Field(ge=1, le=86_400)]


def _quota(value: object) -> object:
    if not isinstance(value, str):
        return value
    requests, slash, seconds = value.partition("/")
    if not slash or not requests.strip().isdigit() or not seconds.strip().isdigit():
        message = "must look like 120/60: requests/seconds"
        raise ValueError(message)
    return Quota(requests=int(requests), seconds=int(seconds))


type QuotaSetting = Annotated[Quota, NoDecode, BeforeValidator(_quota)]
