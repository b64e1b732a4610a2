"""The route of the files: what an address holds never changes, so it may be kept for ever."""

# No postponed annotations here: FastAPI reads the real types.
import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from fastapi_application.accounts.authentication import get_viewer
from fastapi_application.core.actor import Actor
from fastapi_application.core.errors import NotFoundError
from fastapi_application.core.problems import problem_responses
from fastapi_application.crud.action import run_read_action
from fastapi_application.crud.bodies import refuse_query
from fastapi_application.crud.declarations import UNCHANGED
from fastapi_application.crud.dependencies import SessionDep
from fastapi_application.crud.preconditions import none_match
from fastapi_application.crud.responses import PRIVATE
from fastapi_application.encyclopedia.images.decoding import MEDIA_TYPES
from fastapi_application.encyclopedia.images.files import ImageFiles, file_key
from fastapi_application.encyclopedia.images.schemas import MEDIA_PATH
from fastapi_application.encyclopedia.images.service import ImageService
from fastapi_application.redis_conf.route_limit import RouteLimit

IMMUTABLE = "public, max-age=31536000, immutable"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BINARY: dict[str, Any] = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in MEDIA_TYPES.values()}

router = APIRouter(tags=["images"])


@router.get(
    f"{MEDIA_PATH}/{{sha256}}/{{name}}",
    operation_id="media_read",
    summary="Read the bytes of an image",
    response_class=Response,
    dependencies=[Depends(RouteLimit("media"))],
    responses={200: {"description": "The picture.", "content": _BINARY}, **UNCHANGED, **problem_responses(401, 404, 422, 503)},
)
async def read_media(
    request: Request,
    sha256: str,
    name: str,
    viewer: Annotated[Actor | None, Depends(get_viewer)],
    session: SessionDep,
    _query: Annotated[None, Depends(refuse_query)],
) -> Response:
    """Addresses come from `url` and `renditions` of an image. Who may not see the image may not see its bytes."""
    if not _SHA256.fullmatch(sha256):
        raise NotFoundError
    media_type = await run_read_action(session, ImageService(session).media_type_of, sha256, name, viewer)
    etag = f'"{sha256[:32]}.{name}"'
    cache = PRIVATE if "authorization" in request.headers else IMMUTABLE
    headers = {"ETag": etag, "Cache-Control": cache, "Vary": "Authorization", "Cross-Origin-Resource-Policy": "cross-origin"}
    if none_match(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    files: ImageFiles = request.app.state.image_files
    stored = await files.storage.open(file_key(sha256, name))
    if stored is None:
        raise NotFoundError
    return StreamingResponse(stored.chunks, headers={**headers, "Content-Length": str(stored.size)}, media_type=media_type)
