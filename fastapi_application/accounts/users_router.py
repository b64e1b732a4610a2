"""Accounts: /users/me for their owners, /users and /audit-log for administrators."""

import uuid
from typing import Annotated, Any

from fastapi import Query, status
from sqlalchemy.ext.asyncio import AsyncSession

from fastapi_application.accounts.administration import AdministrationService
from fastapi_application.accounts.audit import Origin, OriginDep
from fastapi_application.accounts.authentication import AccountAdministratorDep, ReaderDep, SignedInDep, VerifiedAdministratorDep
from fastapi_application.accounts.passwords import check_new_password, hash_password, verify_password
from fastapi_application.accounts.requests import READ_ONLY, NoQuery, PathId, account_router, json_request, parsed
from fastapi_application.accounts.schemas import (
    AuditQuery,
    AuditRead,
    Deletion,
    NumberedPage,
    ProfilePatch,
    UserPatch,
    UserQuery,
    UserRead,
)
from fastapi_application.accounts.service import AccountService, Candidate
from fastapi_application.core.errors import DuplicateError, InvalidCredentialsError
from fastapi_application.core.problems import problem_responses
from fastapi_application.crud.action import run_crud_action
from fastapi_application.crud.dependencies import SessionDep

router = account_router("/users")
audit_router = account_router("/audit-log")
_PROFILE_READ_ONLY = READ_ONLY - set(ProfilePatch.model_fields)
_USER_READ_ONLY = READ_ONLY - set(UserPatch.model_fields)


@router.get("/me", operation_id="users_me_read", summary="Read your account", responses=problem_responses(401, 403, 422, 503))
async def read_me(identity: ReaderDep, session: SessionDep, _query: Annotated[None, NoQuery]) -> UserRead:
    """Show the account that this request's token stands for."""
    return await run_crud_action(session, AccountService(session).read, identity.user_id)


@router.patch(
    "/me",
    operation_id="users_me_patch",
    summary="Change your account",
    openapi_extra=json_request(ProfilePatch),
    responses=problem_responses(400, 401, 403, 409, 415, 422, 429, 503),
)
async def patch_me(
    identity: SignedInDep, body: Annotated[ProfilePatch, parsed(ProfilePatch, _PROFILE_READ_ONLY)], session: SessionDep, origin: OriginDep
) -> UserRead:
    """A new address or password needs `current_password`. A new password ends all sessions, this one too.

    A new address has to be verified before you can write again; the old one is told.
    """
    service = AccountService(session)
    changes: dict[str, Any] = body.model_dump(exclude_unset=True, exclude={"current_password"})
    if not changes.keys() & {"email", "password"}:
        return await run_crud_action(session, service.change_own, identity.user_id, changes, None, origin)
    address, candidate = await _prove(session, identity.user_id, body.current_password, origin)
    if (password := changes.pop("password", None)) is not None:
        check_new_password(password, changes.get("email", address))
        changes["hashed_password"] = await hash_password(password)
    try:
        return await run_crud_action(session, service.change_own, identity.user_id, changes, candidate.hashed_password, origin)
    except DuplicateError:
        # That an address is taken is told only to somebody signed in, and ever more slowly.
        await run_crud_action(session, service.count_failure, candidate)
        raise


@router.delete(
    "/me",
    operation_id="users_me_delete",
    summary="Delete your account",
    status_code=status.HTTP_204_NO_CONTENT,
    openapi_extra=json_request(Deletion),
    responses=problem_responses(400, 401, 403, 409, 415, 422, 429, 503),
)
async def delete_me(identity: SignedInDep, body: Annotated[Deletion, parsed(Deletion)], session: SessionDep, origin: OriginDep) -> None:
    """Name and address go, all sessions end; what the account has written stays, by nobody in particular."""
    _, candidate = await _prove(session, identity.user_id, body.current_password, origin)
    await run_crud_action(session, AccountService(session).leave, identity.user_id, candidate.hashed_password, origin)


async def _prove(session: AsyncSession, user_id: uuid.UUID, password: str, origin: Origin) -> tuple[str, Candidate]:
    """Check the current password; return the address and what it was compared with. Failures are counted as a login's."""
    service = AccountService(session)
    address, candidate = await run_crud_action(session, service.find_own, user_id, origin)
    session.expunge_all()
    if not password or not await verify_password(password, candidate.hashed_password):
        await run_crud_action(session, service.count_failure, candidate)
        raise InvalidCredentialsError("The current password is wrong.")
    return address, candidate


@router.get("", operation_id="users_list", summary="List accounts", responses=problem_responses(401, 403, 422, 503))
async def list_users(_: AccountAdministratorDep, session: SessionDep, query: Annotated[UserQuery, Query()]) -> NumberedPage[UserRead]:
    """For administrators; by address."""
    return await run_crud_action(session, AdministrationService(session).list, query)


@router.get("/{identifier}", operation_id="users_read", summary="Read an account", responses=problem_responses(401, 403, 404, 422, 503))
async def read_user(_: AccountAdministratorDep, identifier: PathId, session: SessionDep, _query: Annotated[None, NoQuery]) -> UserRead:
    """For administrators."""
    return await run_crud_action(session, AdministrationService(session).read, identifier)


@router.patch(
    "/{identifier}",
    operation_id="users_patch",
    summary="Change role and state of an account",
    openapi_extra=json_request(UserPatch),
    responses=problem_responses(400, 401, 403, 404, 409, 415, 422, 503),
)
async def patch_user(
    administrator: VerifiedAdministratorDep,
    body: Annotated[UserPatch, parsed(UserPatch, _USER_READ_ONLY)],
    identifier: PathId,
    session: SessionDep,
    origin: OriginDep,
) -> UserRead:
    """For administrators. Any change ends all sessions of the account; the last administrator stays one."""
    return await run_crud_action(session, AdministrationService(session).change, identifier, body, administrator, origin)


@audit_router.get("", operation_id="audit_log_list", summary="Read the audit log", responses=problem_responses(401, 403, 422, 503))
async def read_audit_log(_: AccountAdministratorDep, session: SessionDep, query: Annotated[AuditQuery, Query()]) -> NumberedPage[AuditRead]:
    """For administrators; the newest first. Nobody can change or delete an entry."""
    return await run_crud_action(session, AdministrationService(session).audit_log, query)
