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
from fastapi_application.encyclopedia.manufacturers.router import router as manufacturers
from fastapi_application.encyclopedia.pages import PAGES
from fastapi_application.encyclopedia.tag_categories.router import router as tag_categories
from fastapi_application.encyclopedia.tags.router import router as tags

__all__ = ["PAGES", "ROUTERS"]

ROUTERS = (
    aircraft,
    articles,
    countries,
    design_bureaus,
    designers,
    engines,
    facts,
    icao_types,
    manufacturers,
    tag_categories,
    tags,
)
