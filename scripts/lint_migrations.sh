#!/bin/sh
# Show the SQL of all migrations to squawk, which knows what locks or breaks a running database.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/frankenjet-migrations.XXXXXX")
trap 'rm -rf "$work"' EXIT
.venv/bin/python -m alembic upgrade head --sql >"$work/migrations.sql" 2>"$work/log" || {
    cat "$work/log" >&2
    exit 1
}
if [ ! -s "$work/migrations.sql" ]; then
    echo "frankenjet: there are no migrations to lint" >&2
    exit 1
fi

# Not for us:
#   prefer-robust-stmts        every migration is one transaction: it is there as a whole or not at all
#   prefer-text-field          the version table of Alembic is a varchar; ours are text already
#   prefer-bigint-over-int     the domain's numbers (years, quantities) are small; keys are UUIDs
#   prefer-bigint-over-smallint  the same: positions in a list of at most 200
#   require-lock-timeout       alembic/env.py sets it on the connection that migrates
#   require-statement-timeout  a migration may take its time, once it has its locks
.venv/bin/squawk --pg-version 17.0 --exclude prefer-robust-stmts,prefer-text-field,prefer-bigint-over-int,prefer-bigint-over-smallint \
    --exclude require-lock-timeout,require-statement-timeout "$work/migrations.sql"
