"""Parameters and answers of search and suggest."""

import re
import uuid
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from fastapi_application.crud.list_query import Ref, any_of
from fastapi_application.crud.schemas import LanguageTag, one_line
from fastapi_application.encyclopedia.vocabulary import AircraftCategory, ArticleCategory, EngineType, ManufacturerKind

SearchKind = Literal["aircraft", "designers", "design-bureaus", "manufacturers", "engines", "articles"]
KINDS: tuple[str, ...] = get_args(SearchKind)
"""In the order in which equally good matches are shown."""
CATEGORIES = tuple(
    dict.fromkeys(
        value for vocabulary in (AircraftCategory, ManufacturerKind, EngineType, ArticleCategory) for value in get_args(vocabulary)
    )
)
DECADE = re.compile(r"[0-9]{3}0s")
MAX_QUESTION = 200
MAX_DEPTH = 10_000

# The parameter itself and not the type: a question may be as long in bytes as its letters need.
Question = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUESTION), AfterValidator(one_line)]
Decade = Annotated[str, StringConstraints(pattern=r"^[0-9]{3}0s$")]


class SearchParams(BaseModel):
    """What a search takes."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[Question, Field(description="Words, names, designations; any spelling", examples=["Ил-2"])]
    kind: Annotated[any_of(SearchKind) | None, Field(description="Any of these kinds")] = None  # type: ignore[valid-type]
    country: Annotated[any_of(Ref) | None, Field(description="Any of these countries, by code, slug or id")] = None  # type: ignore[valid-type]
    decade: Annotated[
        any_of(Decade) | None,  # type: ignore[valid-type]
        Field(description="Any of these decades: of the first flight or run, the birth, the founding", examples=[["1930s"]]),
    ] = None
    category: Annotated[any_of(Literal[CATEGORIES]) | None, Field(description="Any of these categories")] = None  # type: ignore[valid-type]
    language: Annotated[any_of(LanguageTag) | None, Field(description="Only articles in any of these languages")] = None  # type: ignore[valid-type]
    page: Annotated[int, Field(ge=1, le=MAX_DEPTH, description="Page number; page × size is at most 10000")] = 1
    size: Annotated[int, Field(ge=1, le=100, description="Items on a page")] = 20

    def filters(self, country_ids: list[uuid.UUID]) -> dict[str, Any]:
        """Return the filters by the names of the query; None is no filter."""
        decades = None if self.decade is None else [int(value.removesuffix("s")) for value in self.decade]
        return {
            "kinds": self.kind,
            "country_ids": None if self.country is None else country_ids,
            "decades": decades,
            "categories": self.category,
            "languages": self.language,
        }


class SuggestParams(BaseModel):
    """What suggest takes."""

    model_config = ConfigDict(extra="forbid")

    q: Annotated[Question, Field(description="The beginning of a name", examples=["mig"])]


class Highlight(BaseModel):
    """Safe HTML: matches in `<mark>`, everything else escaped."""

    name: str
    text: str


class SearchItem(BaseModel):
    """Something that was found."""

    kind: SearchKind
    id: uuid.UUID
    slug: str
    name: str
    summary: str | None
    url: Annotated[str, Field(description="Where it is, below this host")]
    score: Annotated[float, Field(description="Greater is better; comparable within one answer only")]
    highlight: Highlight


class FacetCount(BaseModel):
    """How many of the matches have a value."""

    value: str
    count: int


class Facets(BaseModel):
    """Counts of the matches. Each is the total of the same search narrowed to that value."""

    kind: list[FacetCount]
    country: Annotated[list[FacetCount], Field(description="By country code; an entry may have several")]
    decade: list[FacetCount]
    category: list[FacetCount]


class SearchPage(BaseModel):
    """A page of matches, the best first."""

    items: list[SearchItem]
    total: int
    total_exact: Annotated[bool, Field(description="Whether all matches were counted")]
    page: int
    size: int
    pages: int
    query: str
    normalised: Annotated[str, Field(description="The question as it was asked of the index, after a correction if there was one")]
    facets: Facets
    facets_exact: bool
    suggestions: Annotated[list[str], Field(description="Other questions to ask, where this one was corrected or found nothing")]


class Suggestion(BaseModel):
    """A name."""

    kind: SearchKind
    slug: str
    name: str
    url: str


class Suggestions(BaseModel):
    """At most ten names."""

    items: Annotated[list[Suggestion], Field(max_length=10)]
