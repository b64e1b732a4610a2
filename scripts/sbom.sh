#!/bin/sh
# Write a bill of materials (CycloneDX) of what the application needs in production:  sbom.sh [FILE]
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
.venv/bin/python scripts/locked.py main >"$work/requirements.txt"
# The tool takes a section of Poetry for the whole description, and ours has only what the standard has no place for.
sed '/^\[tool\./,$d' pyproject.toml >"$work/pyproject.toml"
.venv/bin/python -m cyclonedx_py requirements "$work/requirements.txt" --pyproject "$work/pyproject.toml" \
    --mc-type application --output-reproducible --output-file "${1:-sbom.json}"
