"""Pages that are made of several kinds."""

from fastapi_application.encyclopedia.pages.changes.router import router as changes
from fastapi_application.encyclopedia.pages.compare.router import router as compare
from fastapi_application.encyclopedia.pages.home.router import router as home
from fastapi_application.encyclopedia.pages.lineage.router import router as lineage
from fastapi_application.encyclopedia.pages.search import models as search_models  # noqa: F401 - Alembic needs its tables
from fastapi_application.encyclopedia.pages.search.router import router as search
from fastapi_application.encyclopedia.pages.statistics.router import router as statistics
from fastapi_application.encyclopedia.pages.timeline.router import router as timeline
from fastapi_application.encyclopedia.pages.vocabularies.router import router as vocabularies

PAGES = (changes, search, timeline, lineage, compare, statistics, home, vocabularies)
