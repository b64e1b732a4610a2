"""Rules of design bureaus."""

from fastapi_application.crud.service import EntityService
from fastapi_application.encyclopedia.design_bureaus.models import DesignBureau
from fastapi_application.encyclopedia.design_bureaus.schemas import DesignBureauDetail, DesignBureauItem, DesignBureauWrite


class DesignBureauService(EntityService[DesignBureau, DesignBureauWrite]):
    """Design bureaus."""

    model = DesignBureau
    item_schema = DesignBureauItem
    detail_schema = DesignBureauDetail
    write_schema = DesignBureauWrite
