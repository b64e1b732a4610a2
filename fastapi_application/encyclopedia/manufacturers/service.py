"""Rules of manufacturers."""

from fastapi_application.crud.service import EntityService
from fastapi_application.encyclopedia.manufacturers.models import Manufacturer
from fastapi_application.encyclopedia.manufacturers.schemas import ManufacturerDetail, ManufacturerItem, ManufacturerWrite


class ManufacturerService(EntityService[Manufacturer, ManufacturerWrite]):
    """Manufacturers."""

    model = Manufacturer
    item_schema = ManufacturerItem
    detail_schema = ManufacturerDetail
    write_schema = ManufacturerWrite
