"""Reads of the ICAO type designators."""

from fastapi_application.crud.service import ReadService
from fastapi_application.encyclopedia.icao_types.models import IcaoType
from fastapi_application.encyclopedia.icao_types.schemas import IcaoTypeDetail, IcaoTypeItem


class IcaoTypeService(ReadService[IcaoType]):
    """ICAO type designators."""

    model = IcaoType
    item_schema = IcaoTypeItem
    detail_schema = IcaoTypeDetail
    default_sort = "designator,manufacturer,model"
