"""Rules of engines."""

from fastapi_application.crud.service import EntityService
from fastapi_application.encyclopedia.engines.models import Engine
from fastapi_application.encyclopedia.engines.schemas import EngineDetail, EngineItem, EngineWrite


class EngineService(EntityService[Engine, EngineWrite]):
    """Engines."""

    model = Engine
    item_schema = EngineItem
    detail_schema = EngineDetail
    write_schema = EngineWrite
