"""/.well-known/security.txt (RFC 9116): where to report a vulnerability."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, Response

from fastapi_application.core.config import AppSettings
from fastapi_application.crud.bodies import refuse_query

PATH = "/.well-known/security.txt"
VALID = timedelta(days=180)
"""The RFC advises less than a year."""
router = APIRouter(include_in_schema=False, dependencies=[Depends(refuse_query)])


@router.get(PATH)
async def security_txt(request: Request) -> Response:
    """Say whom to write to. Whoever serves this lives, so the text is good for another half a year, to the day."""
    settings: AppSettings = request.app.state.settings.app
    expires = (datetime.now(UTC) + VALID).replace(hour=0, minute=0, second=0, microsecond=0)
    lines = {
        "Contact": contact(settings),
        "Expires": expires.isoformat().replace("+00:00", "Z"),
        "Preferred-Languages": "en, ru",
        "Canonical": settings.public_url.rstrip("/") + PATH,
    }
    text = "".join(f"{name}: {value}\n" for name, value in lines.items())
    return Response(text, media_type="text/plain; charset=utf-8", headers={"Cache-Control": "public, max-age=86400"})


def contact(settings: AppSettings) -> str:
    """The configured contact, else the address that RFC 2142 reserves for this at every domain."""
    return settings.security_contact or f"mailto:security@{urlsplit(settings.public_url).hostname or 'localhost'}"
