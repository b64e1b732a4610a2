"""Rules of the house, as tests; each with a proof that it can fail."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import inspect

import fastapi_application.encyclopedia
from fastapi_application.core.db import Base

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "fastapi_application"
ENTITIES = PACKAGE / "encyclopedia"
ACTION = "crud/action.py"
# The one place that runs transactions; Alembic has an environment of its own.
TRANSACTIONS = {"commit", "begin", "rollback"}


def sources() -> list[tuple[str, str]]:
    """Return every source file of the application: its path below the package and its text."""
    return [(path.relative_to(PACKAGE).as_posix(), path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))]


def transaction_calls(source: str) -> Iterator[str]:
    """Name the calls that begin or end a transaction."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in TRANSACTIONS:
            yield node.func.attr


def caught_names(source: str) -> set[str]:
    """Name the exceptions that a file catches."""
    handlers = [node.type for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ExceptHandler) and node.type]
    return {name.id for handler in handlers for name in ast.walk(handler) if isinstance(name, ast.Name)}


def raised_names(source: str) -> set[str]:
    """Name what a file raises."""
    raised = [node.exc for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Raise) and node.exc]
    return {name.id for error in raised for name in ast.walk(error) if isinstance(name, ast.Name)}


def imported_modules(source: str) -> set[str]:
    """Name the modules that a file imports."""
    return {node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom) and node.module}


def test_imports_only_go_down() -> None:
    command = [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(("path", "source"), [item for item in sources() if item[0] != ACTION], ids=lambda value: value[:60])
def test_only_the_action_runs_transactions(path: str, source: str) -> None:
    assert list(transaction_calls(source)) == [], f"{path}: services and repositories leave the transaction to run_crud_action"


def test_the_action_does_run_them() -> None:
    """The rule above looks for what really is there: a write, an attempt, a read at the replica, a read."""
    assert list(transaction_calls((PACKAGE / ACTION).read_text())) == ["begin", "rollback", "begin", "begin"]
    assert list(transaction_calls("async def f(s):\n    await s.commit()")) == ["commit"]


def test_nobody_catches_integrity_errors() -> None:
    assert [path for path, source in sources() if "IntegrityError" in caught_names(source)] == []
    assert caught_names("try:\n    f()\nexcept (IntegrityError, KeyError):\n    pass") == {"IntegrityError", "KeyError"}


def test_nobody_raises_http_exceptions() -> None:
    assert [path for path, source in sources() if "HTTPException" in raised_names(source)] == []
    assert raised_names("raise HTTPException(404)") == {"HTTPException"}


def foreign_repositories(path: str, source: str) -> list[str]:
    """Name the repositories of other entities that an entity's file imports."""
    entity = path.split("/")[1]
    prefix = "fastapi_application.encyclopedia."
    modules = [name.removeprefix(prefix) for name in imported_modules(source) if name.startswith(prefix) and name.endswith(".repository")]
    return [name for name in modules if name.split(".")[0] != entity]


def test_a_repository_belongs_to_its_entity() -> None:
    found = {path: foreign_repositories(path, source) for path, source in sources() if path.startswith("encyclopedia/")}
    assert {path: names for path, names in found.items() if names} == {}
    borrowed = "from fastapi_application.encyclopedia.aircraft.repository import LineageRepository"
    assert foreign_repositories("encyclopedia/articles/service.py", borrowed) == ["aircraft.repository"]


def test_every_entity_has_its_files_and_its_place_in_the_registry() -> None:
    folders = {path.parent.name for path in ENTITIES.glob("*/models.py")}
    for folder in folders:
        assert {path.name for path in (ENTITIES / folder).glob("*.py")} >= {
            "__init__.py",
            "models.py",
            "schemas.py",
            "service.py",
            "router.py",
        }
    assert {router.prefix.strip("/").replace("-", "_") for router in fastapi_application.encyclopedia.ROUTERS} == folders


def test_relations_are_loaded_by_name_and_never_through_a_secondary_table() -> None:
    relations = [relation for mapper in Base.registry.mappers for relation in inspect(mapper).relationships]
    assert len(relations) > 20
    assert [str(relation) for relation in relations if relation.lazy != "raise" or relation.secondary is not None] == []


def test_files_and_functions_stay_small() -> None:
    """A smell, not a law: whoever must go beyond it says so by raising the number here."""
    assert {path: len(source.splitlines()) for path, source in sources() if len(source.splitlines()) > 400} == {}
    lengths = [
        (node.end_lineno or 0) - node.lineno + 1
        for _, source in sources()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert sorted(lengths)[len(lengths) // 2] <= 11
    assert sorted(lengths)[len(lengths) * 9 // 10] <= 40
