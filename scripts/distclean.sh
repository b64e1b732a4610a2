#!/bin/sh
# Remove what `make` has made: .local with the servers' data, .venv and .venv-poetry.
set -eu
cd "$(dirname "$0")/.."

# The application knows how to stop servers that a killed process has left, and refuses when one runs.
if [ -d .local ] && [ -x .venv/bin/python ] && .venv/bin/python -c 'import fastapi_application.local' 2>/dev/null; then
    .venv/bin/python - <<'PY'
import sys
from pathlib import Path

from fastapi_application.local import LocalServerError, remove_local

try:
    remove_local(Path(".local"))
except LocalServerError as error:
    sys.exit(f"frankenjet: {error}")
PY
fi

# Without a virtualenv: started by root, PostgreSQL's files may lie where only a link leads.
if [ -L .local/postgres ]; then
    target=$(readlink .local/postgres)
    case $target in
        */../*) ;;
        /var/lib/frankenjet/?* | /var/tmp/frankenjet/?*) rm -rf "$target" ;;
    esac
fi
rm -rf .local .venv .venv-poetry .bootstrap.lock
