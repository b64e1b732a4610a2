"""What the process that others are forked from imports: the whole application, built and connected to nothing."""

from __future__ import annotations

from contextlib import suppress

from fastapi_application.create_fastapi_app import prepare

with suppress(Exception):  # whoever is forked tries again, and says what is wrong
    prepare()
