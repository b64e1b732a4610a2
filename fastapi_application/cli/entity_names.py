"""What a new entity is called: everything follows from the plural noun that the person types."""

from __future__ import annotations

import builtins
import keyword
import re
from dataclasses import dataclass

from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS

from fastapi_application.cli.errors import CommandError

MAX_LENGTH = 30  # longer ones do not fit into the names of constraints and the lines of the templates
_SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_SAME_IN_PLURAL = {"chassis", "series", "species"}
_IMPORTED_BY_THE_TEMPLATES = {"Entity", "Mapped", "Text"}  # EntityItem and EntityService would be defined twice
_SINGULARS = (
    ("ies", "y"),  # companies
    ("sses", "ss"),  # classes
    ("ches", "ch"),  # branches
    ("shes", "sh"),  # crashes
    ("xes", "x"),  # boxes
    ("oes", "o"),  # torpedoes
    ("ss", "ss"),  # glass
    ("s", ""),  # airports, air bases
)


@dataclass(frozen=True, slots=True)
class EntityNames:
    """The names of an entity whose folder is `name`, for example `air_bases`."""

    name: str

    @classmethod
    def parse(cls, name: str) -> EntityNames:
        """Check what can be checked without the project.

        Raises:
            CommandError: nothing can be called that; one sentence says why.

        """
        if not _SNAKE_CASE.fullmatch(name):
            raise CommandError(f"`{name}` is not a plural noun in snake_case, such as `airports` or `air_bases`.")
        if len(name) > MAX_LENGTH:
            raise CommandError(f"`{name}` is longer than {MAX_LENGTH} characters.")
        if keyword.iskeyword(name) or name in dir(builtins):
            raise CommandError(f"`{name}` is a word of Python.")
        names = cls(name)
        if names.table in RESERVED_WORDS:
            raise CommandError(f"`{name}` would be kept in a table `{names.table}`, which is a reserved word of SQL.")
        if names.model in _IMPORTED_BY_THE_TEMPLATES:
            raise CommandError(f"`{name}` would become a class `{names.model}`, which the code of an entity uses for something else.")
        return names

    @property
    def kind(self) -> str:
        """The noun in routes: `air-bases`."""
        return self.name.replace("_", "-")

    @property
    def table(self) -> str:
        """The name of the table: `air_base`."""
        *first, last = self.name.split("_")
        return "_".join([*first, _singular(last)])

    @property
    def model(self) -> str:
        """The name of the class: `AirBase`."""
        return "".join(word.capitalize() for word in self.table.split("_"))

    @property
    def plural(self) -> str:
        """What a sentence calls several: `air bases`."""
        return self.name.replace("_", " ")

    @property
    def singular(self) -> str:
        """What a sentence calls one: `air base`."""
        return self.table.replace("_", " ")

    @property
    def a_singular(self) -> str:
        """The same with its article: `an air base`."""
        return ("an " if re.match(r"[aeio]|u(?!ni)", self.singular) else "a ") + self.singular


def _singular(word: str) -> str:
    if word in _SAME_IN_PLURAL:
        return word
    return next((word.removesuffix(plural) + singular for plural, singular in _SINGULARS if word.endswith(plural) and word != plural), word)
