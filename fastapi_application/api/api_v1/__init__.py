"""Version 1: everything under /api/v1."""

from fastapi import APIRouter

from fastapi_application.accounts.router import router as accounts
from fastapi_application.api.health import router as health
from fastapi_application.encyclopedia import PAGES, ROUTERS

router = APIRouter(prefix="/api/v1")
router.include_router(health)
router.include_router(accounts)
# Pages first: /aircraft/compare is no aircraft.
for part in (*PAGES, *ROUTERS):
    router.include_router(part)
