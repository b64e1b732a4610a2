"""Login and logout."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Response, status

from fastapi_application.accounts.authentication import ActorDep, get_token
from fastapi_application.accounts.passwords import verify_password
from fastapi_application.accounts.schemas import LoginForm, TokenAnswer
from fastapi_application.accounts.service import AccountService
from fastapi_application.core.errors import InvalidCredentialsError, NotAuthenticatedError
from fastapi_application.core.problems import problem_responses
from fastapi_application.crud.action import run_crud_action
from fastapi_application.crud.dependencies import SessionDep
from fastapi_application.redis_conf.route_limit import LOGIN_LIMIT

router = APIRouter(prefix="/auth", tags=["accounts"])
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@router.post(
    "/login",
    operation_id="auth_login",
    summary="Get a bearer token",
    dependencies=[LOGIN_LIMIT],
    responses=problem_responses(400, 422, 503),
)
async def login(form: Annotated[LoginForm, Form()], session: SessionDep, response: Response) -> TokenAnswer:
    """Exchange an address and a password for an access token."""
    service = AccountService(session)
    account = await run_crud_action(session, service.find_for_login, form.username)
    # Argon2 takes long: no transaction is open meanwhile, and an unknown address costs the same.
    if not await verify_password(form.password, account[1] if account else None) or account is None:
        raise InvalidCredentialsError
    response.headers.update(NO_STORE)
    return await run_crud_action(session, service.issue_token, account[0])


@router.post(
    "/logout",
    operation_id="auth_logout",
    summary="End the bearer token",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problem_responses(401, 503),
)
async def logout(_: ActorDep, token: Annotated[str | None, Depends(get_token)], session: SessionDep) -> Response:
    """End the token that this request is sent with."""
    if token is None:
        raise NotAuthenticatedError
    await run_crud_action(session, AccountService(session).end_token, token)
    return Response(status_code=status.HTTP_204_NO_CONTENT, headers=NO_STORE)
