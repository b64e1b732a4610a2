"""The roles of a production database, as docs/deployment.md makes them: one that owns the tables, one that uses them."""

from __future__ import annotations

import asyncio

import asyncpg

OWNER, ROLE = "frankenjet_owner", "frankenjet_app"
_STATEMENTS = """
    CREATE ROLE {owner} LOGIN PASSWORD '{owner_password}';
    CREATE ROLE {role} LOGIN PASSWORD '{role_password}';
    ALTER ROLE {role} SET statement_timeout = '2s';
    ALTER ROLE {role} SET lock_timeout = '1500ms';
    ALTER ROLE {role} SET idle_in_transaction_session_timeout = '5s';
    ALTER ROLE {role} SET jit = off;
    ALTER ROLE {role} SET random_page_cost = 1.1;
    ALTER ROLE {role} SET max_parallel_workers_per_gather = 0;
    ALTER DATABASE {database} OWNER TO {owner};
    ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role};
    ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE ON SEQUENCES TO {role};
"""


def create_roles(servers: dict[str, str], passwords: dict[str, str]) -> None:
    """Create them on a new server, as its superuser."""
    words = {"owner": OWNER, "owner_password": passwords[OWNER], "role": ROLE, "role_password": passwords[ROLE]}
    asyncio.run(_execute(servers, _STATEMENTS.format(database=servers["DB__NAME"], **words)))


async def _execute(servers: dict[str, str], statements: str) -> None:
    connection = await asyncpg.connect(
        host=servers["DB__HOST"],
        port=int(servers["DB__PORT"]),
        user=servers["DB__USER"],
        password=servers["DB__PASSWORD"],
        database=servers["DB__NAME"],
    )
    try:
        await connection.execute(statements)
    finally:
        await connection.close()
