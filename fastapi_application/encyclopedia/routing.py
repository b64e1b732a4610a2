"""The routes of an entity, with the access rules of accounts."""

from typing import Any

from fastapi import APIRouter, Depends

from fastapi_application.accounts.authentication import get_viewer, require
from fastapi_application.core.actor import Role
from fastapi_application.crud import router as crud_router
from fastapi_application.crud.declarations import Access
from fastapi_application.crud.service import EntityService, ReadService
from fastapi_application.encyclopedia.linked_data import linked_data

ACCESS = Access(viewer=Depends(get_viewer), editor=require(Role.EDITOR), linked_data=linked_data)


def read_router(service: type[ReadService[Any]]) -> APIRouter:
    """Build the routes of a kind that nobody writes over HTTP."""
    return crud_router.read_router(service, ACCESS)


def entity_router(service: type[EntityService[Any, Any]], *, has_create: bool = True) -> APIRouter:
    """Build the routes of a kind: anybody reads, editors write."""
    return crud_router.entity_router(service, ACCESS, has_create=has_create)
