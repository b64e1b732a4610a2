"""Which migrations this code knows."""

from __future__ import annotations

from dataclasses import dataclass

from alembic.config import Config
from alembic.script import ScriptDirectory

from fastapi_application.core.config import PROJECT_ROOT


def alembic_config() -> Config:
    """Return Alembic's configuration, wherever the process was started."""
    config = Config(PROJECT_ROOT / "alembic.ini")
    config.set_main_option("script_location", str(PROJECT_ROOT / "alembic"))
    return config


@dataclass(frozen=True, slots=True)
class SchemaVersions:
    """The migrations of this code."""

    heads: frozenset[str]
    known: frozenset[str]

    @classmethod
    def load(cls) -> SchemaVersions:
        """Read them from the migration scripts."""
        scripts = ScriptDirectory.from_config(alembic_config())
        return cls(frozenset(scripts.get_heads()), frozenset(script.revision for script in scripts.walk_revisions()))

    def serves(self, current: set[str]) -> bool:
        """Whether a database at these revisions can be served: at our head, or newer than we know (a rolling deploy)."""
        return bool(current) and (current == self.heads or not current <= self.known)
