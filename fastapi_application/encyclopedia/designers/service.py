"""Rules of designers."""

from fastapi_application.crud.service import EntityService
from fastapi_application.encyclopedia.designers.models import Designer
from fastapi_application.encyclopedia.designers.schemas import DesignerDetail, DesignerItem, DesignerWrite


class DesignerService(EntityService[Designer, DesignerWrite]):
    """Designers."""

    model = Designer
    item_schema = DesignerItem
    detail_schema = DesignerDetail
    write_schema = DesignerWrite
