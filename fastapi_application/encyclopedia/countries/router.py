"""Routes of countries."""

from fastapi_application.encyclopedia.countries.service import CountryService
from fastapi_application.encyclopedia.routing import entity_router

router = entity_router(CountryService)
