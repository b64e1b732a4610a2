"""Rules of countries."""

import uuid
from typing import Any

from sqlalchemy import select

from fastapi_application.core.errors import FieldError, ValidationFailedError
from fastapi_application.crud.service import EntityService
from fastapi_application.encyclopedia.countries.models import Country, CountrySuccessor
from fastapi_application.encyclopedia.countries.schemas import CountryDetail, CountryItem, CountryWrite


class CountryService(EntityService[Country, CountryWrite]):
    """Countries: the slug is the code in lower case."""

    model = Country
    item_schema = CountryItem
    detail_schema = CountryDetail
    write_schema = CountryWrite

    def automatic_slug(self, body: CountryWrite, identifier: uuid.UUID) -> str:  # noqa: ARG002 - signature of the hook
        """Return the code in lower case."""
        return body.code.lower()

    async def after_write(self, entity: Country, changed: set[str]) -> None:
        """Refuse a country that would come after itself.

        Raises:
            ValidationFailedError: names the item.

        """
        if "successors" not in changed:
            return
        itself = (CountrySuccessor.predecessor_id == entity.id, CountrySuccessor.successor_id == entity.id)
        position = await self.session.scalar(select(CountrySuccessor.position).where(*itself))
        if position is not None:
            detail = "A country does not succeed itself."
            raise ValidationFailedError(errors=[FieldError(f"/body/successors/{position}", "invalid_value", detail)])

    def following_slug(self, current: dict[str, Any], document: dict[str, Any]) -> str:
        """Follow the code when it changes."""
        return str(document["code"].lower() if document["code"] != current["code"] else current["slug"])
