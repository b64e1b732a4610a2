"""What the process that others are forked from imports: the whole application, built and connected to nothing.

What is imported stays: to look for garbage in it over and over would take a fifth of the time.
"""

from __future__ import annotations

import gc
from contextlib import suppress

gc.disable()
with suppress(Exception):  # whoever is forked tries again, and says what is wrong
    from fastapi_application.create_fastapi_app import prepare

    prepare()
gc.collect()
gc.freeze()
gc.enable()
