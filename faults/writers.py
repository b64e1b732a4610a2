"""Editors who write without a pause, and remember what the service has acknowledged."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

from faults.client import Client, Tally

if TYPE_CHECKING:
    from faults.client import Answer
    from faults.system import System

CREATED = 201
_ATTEMPT_PAUSE_S = 0.05


class Writers:
    """Some editors, each on a connection of its own."""

    def __init__(self, system: System, count: int, name: str) -> None:
        """Write nothing yet. `name` makes their entries unlike those of others."""
        self._system = system
        self._count = count
        self._name = name
        self._stopped = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.acknowledged: dict[str, str] = {}
        self.tally = Tally()

    def start(self) -> None:
        """Begin."""
        self._tasks = [asyncio.create_task(self._write(index)) for index in range(self._count)]

    async def stop(self) -> None:
        """Finish what is under way."""
        self._stopped.set()
        await asyncio.gather(*self._tasks)

    async def _write(self, index: int) -> None:
        client = Client(self._system.port, self._system.token)
        number = 0
        while not self._stopped.is_set():
            number += 1
            name = f"{self._name} {index} {number} {time.time_ns()}"
            body = json.dumps({"name": name, "category": "role"}).encode()
            answer = await client.ask("POST", "/api/v1/tags?comment=faults", body)
            self.tally.add(answer)
            if answer.status == CREATED:
                self.acknowledged[json.loads(answer.body)["id"]] = name
            else:
                await asyncio.sleep(_ATTEMPT_PAUSE_S)
        client.close()

    async def lost(self) -> int:
        """Count what was acknowledged and is not in the database as it was sent, with its revision."""
        statement = "SELECT t.id::text, t.name FROM tag t JOIN revision r ON r.entity_id = t.id WHERE t.id = ANY($1::uuid[])"
        rows = await self._system.query(statement, list(self.acknowledged))
        return len(self.acknowledged.items() - {(row[0], row[1]) for row in rows})

    def cut_before(self, moment: float) -> list[Answer]:
        """Return the requests that had begun before a moment and got no answer."""
        return [answer for answer in self.tally.of(0) if answer.began < moment]
