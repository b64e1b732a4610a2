"""Rules of tags."""

from fastapi_application.crud.service import EntityService
from fastapi_application.encyclopedia.tags.models import Tag
from fastapi_application.encyclopedia.tags.schemas import TagDetail, TagItem, TagWrite


class TagService(EntityService[Tag, TagWrite]):
    """Tags."""

    model = Tag
    item_schema = TagItem
    detail_schema = TagDetail
    write_schema = TagWrite
