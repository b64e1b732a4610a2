"""THE registry: every kind of the encyclopedia, by its service and its routes.

Importing it loads every model, so Alembic and the contract tests look nowhere else.
"""

from fastapi_application.encyclopedia.aircraft.router import router as aircraft
from fastapi_application.encyclopedia.articles.router import router as articles
from fastapi_application.encyclopedia.countries.router import router as countries
from fastapi_application.encyclopedia.design_bureaus.router import router as design_bureaus
from fastapi_application.encyclopedia.designers.router import router as designers
from fastapi_application.encyclopedia.engines.router import router as engines
from fastapi_application.encyclopedia.facts.router import router as facts
from fastapi_application.encyclopedia.icao_types.router import router as icao_types
from fastapi_application.encyclopedia.images.router import router as images
from fastapi_application.encyclopedia.manufacturers.router import router as manufacturers
from fastapi_application.encyclopedia.pages.compare.router import router as compare
from fastapi_application.encyclopedia.pages.home.router import router as home
from fastapi_application.encyclopedia.pages.lineage.router import router as lineage
from fastapi_application.encyclopedia.pages.search import models as search_models  # noqa: F401 - Alembic needs its tables
from fastapi_application.encyclopedia.pages.search.router import router as search
from fastapi_application.encyclopedia.pages.statistics.router import router as statistics
from fastapi_application.encyclopedia.pages.timeline.router import router as timeline
from fastapi_application.encyclopedia.pages.vocabularies.router import router as vocabularies
from fastapi_application.encyclopedia.tag_categories.router import router as tag_categories
from fastapi_application.encyclopedia.tags.router import router as tags

ROUTERS = (
    aircraft,
    articles,
    countries,
    design_bureaus,
    designers,
    engines,
    facts,
    icao_types,
    images,
    manufacturers,
    tag_categories,
    tags,
)

PAGES = (search, timeline, lineage, compare, statistics, home, vocabularies)
"""What is made of several kinds."""
