"""Signing in and out: /auth."""

from typing import Annotated

from fastapi import Depends, Form, status

from fastapi_application.accounts.audit import OriginDep
from fastapi_application.accounts.authentication import SignedInDep
from fastapi_application.accounts.passwords import check_new_password, hash_password, verify_password
from fastapi_application.accounts.requests import NoQuery, PathId, account_router, json_request, parsed
from fastapi_application.accounts.schemas import (
    Accepted,
    AddressOnly,
    LoginForm,
    PasswordReset,
    Refresh,
    Registration,
    SessionList,
    TokenAnswer,
    Verification,
)
from fastapi_application.accounts.service import AccountService
from fastapi_application.accounts.sessions import SessionService
from fastapi_application.core.config import get_settings
from fastapi_application.core.errors import AppError, InvalidCredentialsError, RegistrationClosedError
from fastapi_application.core.problems import problem_responses
from fastapi_application.crud.action import run_crud_action
from fastapi_application.crud.dependencies import SessionDep
from fastapi_application.mail.templates import MailTemplate
from fastapi_application.redis_conf.route_limit import LOGIN_LIMIT, REGISTER_LIMIT, RESET_LIMIT

router = account_router("/auth")


@router.post(
    "/login",
    operation_id="auth_login",
    summary="Sign in",
    dependencies=[LOGIN_LIMIT],
    responses=problem_responses(400, 422, 503),
)
async def login(form: Annotated[LoginForm, Form()], session: SessionDep, origin: OriginDep) -> TokenAnswer:
    """Exchange an address and a password for a short-lived access token and a refresh token.

    After repeated failures the wait grows: 429 `login_throttled`.
    """
    service = AccountService(session)
    candidate = await run_crud_action(session, service.find_candidate, form.username, origin)
    # Argon2 takes long: no transaction is open meanwhile, and an unknown address costs the same.
    matches = await verify_password(form.password, candidate.hashed_password)
    answer = await run_crud_action(session, service.log_in, candidate, origin, matches=matches)
    if answer is None:
        raise InvalidCredentialsError
    return answer


@router.post(
    "/refresh",
    operation_id="auth_refresh",
    summary="Exchange a refresh token for new tokens",
    openapi_extra=json_request(Refresh),
    responses=problem_responses(400, 401, 415, 422, 503),
)
async def refresh(body: Annotated[Refresh, parsed(Refresh)], session: SessionDep, origin: OriginDep) -> TokenAnswer:
    """Each refresh token is good once. One that comes twice ends its session, the newest tokens included."""
    answer = await run_crud_action(session, SessionService(session).refresh, body.refresh_token, origin)
    if isinstance(answer, AppError):
        raise answer
    return answer


@router.post(
    "/logout",
    operation_id="auth_logout",
    summary="End this session",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problem_responses(401, 403, 422, 503),
)
async def logout(identity: SignedInDep, session: SessionDep, origin: OriginDep, _query: Annotated[None, NoQuery]) -> None:
    """End the session that this request's token belongs to, and with it its refresh token."""
    await run_crud_action(session, SessionService(session).end, identity, identity.session_id, origin)


async def _refuse_if_closed() -> None:
    if not get_settings().auth.allow_registration:
        raise RegistrationClosedError


@router.post(
    "/register",
    operation_id="auth_register",
    summary="Create an account",
    status_code=status.HTTP_202_ACCEPTED,
    dependencies=[REGISTER_LIMIT, Depends(_refuse_if_closed)],
    openapi_extra=json_request(Registration),
    responses=problem_responses(400, 403, 415, 422, 503),
)
async def register(body: Annotated[Registration, parsed(Registration)], session: SessionDep, origin: OriginDep) -> Accepted:
    """Create an account that reads. It may write when its address is verified and an administrator has given it a role.

    The answer is the same if the address is taken; its owner gets a mail instead.
    """
    check_new_password(body.password, body.email)
    hashed = await hash_password(body.password)
    await run_crud_action(session, AccountService(session).register, body, hashed, origin)
    return Accepted()


@router.post(
    "/request-verify-token",
    operation_id="auth_request_verify_token",
    summary="Ask for another verification mail",
    status_code=status.HTTP_202_ACCEPTED,
    openapi_extra=json_request(AddressOnly),
    responses=problem_responses(400, 415, 422, 503),
)
async def request_verify_token(body: Annotated[AddressOnly, parsed(AddressOnly)], session: SessionDep) -> Accepted:
    """Send the link, if there is such an account and it is not verified. The answer does not say."""
    await run_crud_action(session, AccountService(session).send_link, MailTemplate.VERIFICATION, body.email)
    return Accepted()


@router.post(
    "/verify",
    operation_id="auth_verify",
    summary="Verify an address",
    status_code=status.HTTP_204_NO_CONTENT,
    openapi_extra=json_request(Verification),
    responses=problem_responses(400, 415, 422, 503),
)
async def verify(body: Annotated[Verification, parsed(Verification)], session: SessionDep, origin: OriginDep) -> None:
    """Prove an address with the token of the mail. It works once, for a day, while address and password stay the same."""
    await run_crud_action(session, AccountService(session).verify, body.token, origin)


@router.post(
    "/forgot-password",
    operation_id="auth_forgot_password",
    summary="Ask for a mail to set a new password",
    status_code=status.HTTP_202_ACCEPTED,
    dependencies=[RESET_LIMIT],
    openapi_extra=json_request(AddressOnly),
    responses=problem_responses(400, 415, 422, 503),
)
async def forgot_password(body: Annotated[AddressOnly, parsed(AddressOnly)], session: SessionDep) -> Accepted:
    """Send the link, if there is such an account. The answer does not say."""
    await run_crud_action(session, AccountService(session).send_link, MailTemplate.PASSWORD_RESET, body.email)
    return Accepted()


@router.post(
    "/reset-password",
    operation_id="auth_reset_password",
    summary="Set a new password",
    status_code=status.HTTP_204_NO_CONTENT,
    openapi_extra=json_request(PasswordReset),
    responses=problem_responses(400, 415, 422, 503),
)
async def reset_password(body: Annotated[PasswordReset, parsed(PasswordReset)], session: SessionDep, origin: OriginDep) -> None:
    """Set a new password with the token of the mail; all sessions and personal tokens end.

    The token works once, for an hour, while address and password stay the same.
    """
    service = AccountService(session)
    check_new_password(body.password, await run_crud_action(session, service.address_for_reset, body.token))
    hashed = await hash_password(body.password)
    await run_crud_action(session, service.reset_password, body.token, hashed, origin)


@router.get("/sessions", operation_id="auth_sessions_list", summary="List your sessions", responses=problem_responses(401, 403, 422, 503))
async def list_sessions(identity: SignedInDep, session: SessionDep, _query: Annotated[None, NoQuery]) -> SessionList:
    """Every place where this account is signed in, the last used first."""
    return await run_crud_action(session, SessionService(session).list, identity)


@router.delete(
    "/sessions/{identifier}",
    operation_id="auth_sessions_end",
    summary="End one session",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problem_responses(401, 403, 404, 422, 503),
)
async def end_session(
    identity: SignedInDep, identifier: PathId, session: SessionDep, origin: OriginDep, _query: Annotated[None, NoQuery]
) -> None:
    """Sign out there: its next request is 401."""
    await run_crud_action(session, SessionService(session).end, identity, identifier, origin)


@router.delete(
    "/sessions",
    operation_id="auth_sessions_end_all",
    summary="End all sessions",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problem_responses(401, 403, 422, 503),
)
async def end_all_sessions(identity: SignedInDep, session: SessionDep, origin: OriginDep, _query: Annotated[None, NoQuery]) -> None:
    """Sign out everywhere, here too."""
    await run_crud_action(session, SessionService(session).end_own, identity, origin)
