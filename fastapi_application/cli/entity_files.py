"""The files of a new entity: what is in them, and how several change together."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from fastapi_application.cli.errors import CommandError
from fastapi_application.core.config import PROJECT_ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi_application.cli.entity_names import EntityNames

ENCYCLOPEDIA = PROJECT_ROOT / "fastapi_application" / "encyclopedia"
REGISTRY = ENCYCLOPEDIA / "__init__.py"
FACTORIES = PROJECT_ROOT / "tests" / "factories"
MODULES = ("__init__", "models", "schemas", "service", "router")
_TEMPLATES = Path(__file__).parent / "templates"
_LINE_LENGTH = 140
_IMPORT = "from fastapi_application.encyclopedia.{0}.router import router as {0}\n"
_ENTRY = "    {0},\n"
_ROUTING_IMPORT = "from fastapi_application.encyclopedia.routing import entity_router"


def render(names: EntityNames, migration: Path, revision: str, down_revision: str) -> dict[Path, bytes]:
    """Return the content of every file that the entity has of its own."""
    values = {
        "name": names.name,
        "kind": names.kind,
        "table": names.table,
        "model": names.model,
        "plural": names.plural,
        "Plural": _capital(names.plural),
        "Singular": _capital(names.singular),
        "a_singular": names.a_singular,
        "A_singular": _capital(names.a_singular),
        "schemas_import": _schemas_import(names),
        "router_imports": _router_imports(names),
        "revision": revision,
        "down_revision": down_revision,
    }
    templates = {ENCYCLOPEDIA / names.name / f"{module}.py": module for module in MODULES}
    templates |= {FACTORIES / f"{names.name}.py": "factory", migration: "migration"}
    return {path: _template(template).substitute(values).encode() for path, template in templates.items()}


def _template(name: str) -> Template:
    return Template((_TEMPLATES / f"{name}.py.tmpl").read_text(encoding="utf-8"))


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _schemas_import(names: EntityNames) -> str:
    """Import the schemas on one line if it holds them, as the formatter would."""
    start = f"from fastapi_application.encyclopedia.{names.name}.schemas import "
    schemas = [f"{names.model}{schema}" for schema in ("Detail", "Item", "Write")]
    line = start + ", ".join(schemas)
    return line if len(line) <= _LINE_LENGTH else "\n".join([f"{start}(", *(f"    {schema}," for schema in schemas), ")"])


def _router_imports(names: EntityNames) -> str:
    service = f"from fastapi_application.encyclopedia.{names.name}.service import {names.model}Service"
    lines = [service, _ROUTING_IMPORT]
    return "\n".join(lines if _order(names.name) < _order("routing") else reversed(lines))


# --- the registry -------------------------------------------------------------------------------------------------


def registry_with(registry: str, name: str) -> str:
    """Add the two lines of an entity to the registry, in their sorted places."""
    lines = registry.splitlines(keepends=True)
    for form in (_IMPORT, _ENTRY):
        _insert(lines, form, name)
    return "".join(lines)


def registry_without(registry: str, name: str) -> str:
    """Take them out again.

    Raises:
        CommandError: they are not there as they were written.

    """
    lines = registry.splitlines(keepends=True)
    for form in (_IMPORT, _ENTRY):
        if lines.count(form.format(name)) != 1:
            raise CommandError(f"The lines of `{name}` in {relative(REGISTRY)} have been changed: remove the entity by hand.")
        lines.remove(form.format(name))
    return "".join(lines)


def _insert(lines: list[str], form: str, name: str) -> None:
    present = {index: known for index, line in enumerate(lines) for known in re.findall(r"\w+", line)[-1:] if line == form.format(known)}
    if not present:
        raise CommandError(f"{relative(REGISTRY)} no longer has the form that this command knows: add the entity by hand.")
    later = [index for index, known in present.items() if _order(known) > _order(name)]
    lines.insert(min(later, default=max(present) + 1), form.format(name))


def _order(name: str) -> list[str | int]:
    """Sort as the linter sorts imports: numbers by their value."""
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", name)]


# --- changing files -----------------------------------------------------------------------------------------------


def apply(changes: Mapping[Path, bytes | None]) -> None:
    """Write these files (None: delete), all of them or none."""
    before = {path: path.read_bytes() if path.exists() else None for path in changes}
    new_folders = {path.parent for path in changes if not path.parent.exists()}
    touched: list[Path] = []
    try:
        for path, content in changes.items():
            touched.append(path)
            _put(path, content)
    except BaseException:
        for path in reversed(touched):
            with suppress(OSError):
                _put(path, before[path])
        for folder in new_folders:
            with suppress(OSError):
                folder.rmdir()
        raise


def _put(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.write_bytes(content)
        if path.exists():
            shutil.copymode(path, draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def remove_caches(names: EntityNames, files: Mapping[Path, bytes]) -> None:
    """Remove the folder, in which only compiled files are left, and the compiled files elsewhere."""
    shutil.rmtree(ENCYCLOPEDIA / names.name)
    for path in files:
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink()


def relative(path: Path) -> Path:
    """Return a path as a person in the project's folder writes it."""
    return path.relative_to(PROJECT_ROOT)
