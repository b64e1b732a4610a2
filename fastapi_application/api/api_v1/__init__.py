"""Version 1: everything under /api/v1."""

from fastapi import APIRouter

from fastapi_application.accounts.api_tokens_router import router as api_tokens
from fastapi_application.accounts.router import router as auth
from fastapi_application.accounts.users_router import audit_router
from fastapi_application.accounts.users_router import router as users
from fastapi_application.api.health import router as health
from fastapi_application.encyclopedia import PAGES, ROUTERS

router = APIRouter(prefix="/api/v1")
router.include_router(health)
for account in (auth, api_tokens, users, audit_router):
    router.include_router(account)
# Pages first: /aircraft/compare is no aircraft.
for part in (*PAGES, *ROUTERS):
    router.include_router(part)
