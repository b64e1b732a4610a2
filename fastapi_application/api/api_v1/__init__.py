"""Version 1: everything under /api/v1."""

from fastapi import APIRouter

from fastapi_application.accounts.router import router as accounts
from fastapi_application.api.health import router as health
from fastapi_application.encyclopedia import ROUTERS
from fastapi_application.encyclopedia.changes.router import router as changes

router = APIRouter(prefix="/api/v1")
router.include_router(health)
router.include_router(accounts)
router.include_router(changes)
for entity in ROUTERS:
    router.include_router(entity)
