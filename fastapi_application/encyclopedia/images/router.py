"""Routes of images: an image is created by its file, and edited like any other entry."""

# No postponed annotations here: FastAPI reads the real types.
from typing import Annotated

from fastapi import Request, Response, status

import fastapi_application.encyclopedia.images.renditions  # noqa: F401 - registers the jobs
from fastapi_application.accounts.authentication import StillSignedIn, require
from fastapi_application.core import metrics
from fastapi_application.core.actor import Actor, Role
from fastapi_application.core.errors import AppError
from fastapi_application.core.problems import problem_responses
from fastapi_application.crud.bodies import WriteQueryDep
from fastapi_application.crud.declarations import LOCATION, REPLAYED, request_body, success
from fastapi_application.crud.dependencies import SessionDep
from fastapi_application.crud.idempotency import IdempotencyKeyDep
from fastapi_application.encyclopedia.images.schemas import ImageDetail, ImageUpload
from fastapi_application.encyclopedia.images.service import ImageService
from fastapi_application.encyclopedia.images.uploading import OPERATION, take_upload, upload_request
from fastapi_application.encyclopedia.images.uploads import MULTIPART, Upload, UploadDep
from fastapi_application.encyclopedia.routing import entity_router
from fastapi_application.redis_conf.route_limit import UPLOAD_LIMIT

router = entity_router(ImageService, has_create=False)


@router.post(
    "",
    operation_id=OPERATION,
    summary="Upload",
    status_code=201,
    dependencies=[UPLOAD_LIMIT],
    openapi_extra=request_body({MULTIPART: ImageUpload}),
    responses={
        200: success(ImageDetail, "This file came before: the image that it has made.", **LOCATION, **REPLAYED),
        201: success(ImageDetail, "Created; its renditions follow.", **LOCATION, **REPLAYED),
        **problem_responses(400, 401, 403, 409, 415, 422, 503),
    },
)
async def upload_image(
    request: Request,
    actor: Annotated[Actor, require(Role.EDITOR)],
    upload: UploadDep,
    _confirmed: Annotated[None, StillSignedIn],
    key: IdempotencyKeyDep,
    session: SessionDep,
    query: WriteQueryDep,
) -> Response:
    """Send the picture in `file`, and what is known of it in the other fields of the form, or later by PATCH.

    The public sees it when `alt`, `licence`, `author` and `source_url` are known.
    """
    made = upload_request(upload, actor, query.comment, key)
    try:
        answer = await take_upload(session, request.app.state.image_files, made)
    except AppError:
        metrics.upload("refused")
        raise
    metrics.upload("stored" if answer.status == status.HTTP_201_CREATED else "known", _size(upload))
    return answer.response()


def _size(upload: Upload) -> int:
    return upload.path.stat().st_size
