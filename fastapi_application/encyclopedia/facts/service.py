"""Rules of facts."""

import uuid

from fastapi_application.crud.service import EntityService
from fastapi_application.encyclopedia.facts.models import Fact
from fastapi_application.encyclopedia.facts.schemas import FactDetail, FactItem, FactWrite


class FactService(EntityService[Fact, FactWrite]):
    """Facts: they have no name, so their slug comes from their id."""

    model = Fact
    item_schema = FactItem
    detail_schema = FactDetail
    write_schema = FactWrite
    default_sort = "created_at"

    def automatic_slug(self, body: FactWrite, identifier: uuid.UUID) -> str:  # noqa: ARG002 - signature of the hook
        """Return `fact-` and the first eight digits of the id."""
        return f"fact-{identifier.hex[:8]}"
