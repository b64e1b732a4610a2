"""Routes of the ICAO type designators: nobody writes them over HTTP."""

from fastapi_application.encyclopedia.icao_types.service import IcaoTypeService
from fastapi_application.encyclopedia.routing import read_router

router = read_router(IcaoTypeService)
