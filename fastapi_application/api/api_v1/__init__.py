"""Version 1: everything under /api/v1."""

from fastapi_application.accounts.api_tokens_router import router as api_tokens
from fastapi_application.accounts.router import router as auth
from fastapi_application.accounts.users_router import audit_router
from fastapi_application.accounts.users_router import router as users
from fastapi_application.api.health import router as health
from fastapi_application.encyclopedia import PAGES, ROUTERS

PREFIX = "/api/v1"
# Pages first: /aircraft/compare is no aircraft. FastAPI asks one router after the other, so those that are read most come early;
# and it looks through a router in a router twice, so there is none.
PARTS = (*PAGES, *ROUTERS, health, auth, api_tokens, users, audit_router)
