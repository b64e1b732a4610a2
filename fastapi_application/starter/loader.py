"""Loads the starter encyclopedia, in one transaction. A second time changes nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import batched
from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from tqdm import tqdm

from fastapi_application.core.actor import SYSTEM, Actor
from fastapi_application.core.errors import CycleError, DuplicateError, SlugTakenError
from fastapi_application.crud.cache_tags import TAGS
from fastapi_application.crud.db_errors import is_retryable, translate_db_error
from fastapi_application.crud.models import EntityModel, EntitySlug
from fastapi_application.crud.service import EntityService
from fastapi_application.encyclopedia.articles.models import PUBLISHED, Article
from fastapi_application.encyclopedia.articles.service import ArticleService
from fastapi_application.encyclopedia.icao_types.models import IcaoType
from fastapi_application.starter.documents import Record, Starter, read_starter, starter_id
from fastapi_application.starter.pictures import StarterImages, store_originals

if TYPE_CHECKING:
    import uuid
    from collections.abc import Awaitable

    from sqlalchemy.ext.asyncio import AsyncSession

    from fastapi_application.core.storage import Storage

ROWS_AT_ONCE = 1000
_TAGS: dict[str, Any] = {TAGS: {IcaoType.__kind__}}
LOCK_ID = 7_355_609
CONFLICTS = (SlugTakenError, DuplicateError, CycleError)


@dataclass
class Report:
    """What a load did."""

    created: Counter[str] = field(default_factory=Counter)
    updated: Counter[str] = field(default_factory=Counter)
    kept: list[str] = field(default_factory=list)
    """Entries that an editor has changed, or whose slug is another entry's."""
    unresolved: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the report for a person."""
        lines = [f"Created {_counts(self.created)}; updated {_counts(self.updated)}."]
        lines += [f"Kept as it is: {item}" for item in self.kept]
        lines += [f"Not resolved: {item}" for item in self.unresolved]
        return "\n".join(lines)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counter.items()) or "nothing"


class StarterArticles(ArticleService):
    """The articles of the starter encyclopedia are published from the start."""

    async def before_insert(self, entity: Article, actor: Actor) -> None:  # noqa: ARG002 - signature of the hook
        """Publish at once."""
        entity.status = PUBLISHED
        entity.published_at = func.now()


class StarterLoader:
    """Loads what is missing, brings up to date what nobody has edited, and leaves the rest alone."""

    def __init__(self, session: AsyncSession, storage: Storage | None = None, *, progress: bool = False) -> None:
        """Bind the loader to the session of its action; without a storage, the files of the images are put there by another."""
        self.session = session
        self.storage = storage
        self.progress = progress
        self.report = Report()

    async def is_loaded(self) -> bool:
        """Whether this database was ever loaded. The ICAO list tells: nobody can delete from it."""
        return bool(await self.session.scalar(select(exists().select_from(IcaoType))))

    async def load_once(self) -> Report | None:
        """Load everything, unless it was done before; of several at once, one does."""
        await self._wait_for_others()
        return None if await self.is_loaded() else await self.load()

    async def load(self) -> Report:
        """Load everything. What an editor has taken away comes back; what an editor has changed stays."""
        await self._wait_for_others()
        self.report = Report()
        if self.storage is not None:
            await store_originals(self.storage)
        starter = read_starter()
        self.report.unresolved = starter.unresolved
        with tqdm(total=_size(starter), disable=None if self.progress else True, unit=" entries", desc="Starter encyclopedia") as bar:
            for kind, documents in starter.kinds.items():
                await self._load_kind(kind, documents, bar)
            await self._load_icao_types(starter.icao_types, bar)
        return self.report

    async def _wait_for_others(self) -> None:
        await self.session.execute(select(func.pg_advisory_xact_lock(LOCK_ID)))

    async def _load_kind(self, kind: str, documents: list[Record], bar: tqdm[Any]) -> None:
        service = _services()[kind](self.session)
        present = await service.repository.snapshots(service.write_schema)
        taken = set(await self.session.scalars(select(EntitySlug.slug).where(EntitySlug.kind == kind)))
        versions = await self._versions(service.model)
        for document in documents:
            try:
                await self._load_document(service, document, present, taken)
            except CONFLICTS as error:  # with what editors have made
                self.report.kept.append(f"{kind} {document['slug']}: {error.detail}")
            bar.update()
        after = await self._versions(service.model)
        self._count(kind, versions, after)

    async def _in_savepoint(self, work: Awaitable[object]) -> None:
        """Take back what one entry did before it failed."""
        try:
            async with self.session.begin_nested():
                await work
        except DBAPIError as error:
            raise (error if is_retryable(error) else translate_db_error(error)) from error

    async def _versions(self, model: type[EntityModel]) -> dict[uuid.UUID, int]:
        rows = await self.session.execute(select(model.id, model.version))
        return dict(rows.tuples().all())

    def _count(self, kind: str, before: dict[uuid.UUID, int], after: dict[uuid.UUID, int]) -> None:
        """Count what came to be, and what has another version now: a write that changes nothing is none."""
        if created := len(after.keys() - before.keys()):
            self.report.created[kind] = created
        if updated := sum(after[identifier] != version for identifier, version in before.items()):
            self.report.updated[kind] = updated

    async def _load_document(
        self,
        service: EntityService[Any, Any],
        document: Record,
        present: dict[uuid.UUID, tuple[uuid.UUID | None, Record]],
        taken: set[str],
    ) -> None:
        kind, slug = service.model.__kind__, document["slug"]
        identifier = starter_id(kind, document["text"] if kind == "facts" else slug)
        body = service.validate(document)
        if identifier not in present:
            if slug in taken:
                self.report.kept.append(f"{kind} {slug}: the slug is another entry's")
                return
            await self._in_savepoint(service.insert(body, SYSTEM, identifier))
            return
        editor, current = present[identifier]
        if body.model_dump(mode="json", by_alias=True) == current:
            return
        if editor is not None:
            self.report.kept.append(f"{kind} {slug}: changed by an editor")
            return
        await self._in_savepoint(service.change(str(identifier), None, lambda _: body, SYSTEM))

    async def _load_icao_types(self, rows: list[Record], bar: tqdm[Any]) -> None:
        # The rows beside the statement, not in it: to compile one of a thousand rows takes longer than all else here.
        statement = insert(IcaoType).on_conflict_do_nothing().returning(IcaoType.id).execution_options(**_TAGS)
        for batch in batched(rows, ROWS_AT_ONCE):
            created = len((await self.session.execute(statement, list(batch))).all())
            if created:
                self.report.created["icao-types"] += created
            bar.update(len(batch))


def _size(starter: Starter) -> int:
    return len(starter.icao_types) + sum(map(len, starter.kinds.values()))


def _services() -> dict[str, type[EntityService[Any, Any]]]:
    services = {service.model.__kind__: service for service in EntityService.__subclasses__()}
    return {**services, "articles": StarterArticles, "images": StarterImages}
