"""Personal API tokens: /auth/tokens."""

from typing import Annotated

from fastapi import status

from fastapi_application.accounts.api_tokens import ApiTokenService
from fastapi_application.accounts.audit import OriginDep
from fastapi_application.accounts.authentication import SignedInDep
from fastapi_application.accounts.requests import NoQuery, PathId, account_router, json_request, parsed
from fastapi_application.accounts.schemas import ApiTokenCreate, ApiTokenCreated, ApiTokenList
from fastapi_application.core.problems import problem_responses
from fastapi_application.crud.action import run_crud_action
from fastapi_application.crud.dependencies import SessionDep

router = account_router("/auth/tokens")


@router.get("", operation_id="auth_tokens_list", summary="List your API tokens", responses=problem_responses(401, 403, 422, 503))
async def list_tokens(identity: SignedInDep, session: SessionDep, _query: Annotated[None, NoQuery]) -> ApiTokenList:
    """Only their first characters: nobody can show a token again."""
    return await run_crud_action(session, ApiTokenService(session).list, identity.user_id)


@router.post(
    "",
    operation_id="auth_tokens_create",
    summary="Create an API token",
    status_code=status.HTTP_201_CREATED,
    openapi_extra=json_request(ApiTokenCreate),
    responses=problem_responses(400, 401, 403, 409, 415, 422, 503),
)
async def create_token(
    identity: SignedInDep, body: Annotated[ApiTokenCreate, parsed(ApiTokenCreate)], session: SessionDep, origin: OriginDep
) -> ApiTokenCreated:
    """For a script: it can do what its scopes say and your role allows, never manage your account. Shown this once."""
    return await run_crud_action(session, ApiTokenService(session).create, identity.user_id, body, origin)


@router.delete(
    "/{identifier}",
    operation_id="auth_tokens_revoke",
    summary="Revoke an API token",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problem_responses(401, 403, 404, 422, 503),
)
async def revoke_token(
    identity: SignedInDep, identifier: PathId, session: SessionDep, origin: OriginDep, _query: Annotated[None, NoQuery]
) -> None:
    """Its next request is 401."""
    await run_crud_action(session, ApiTokenService(session).revoke, identity.user_id, identifier, origin)
