"""Tests of `fastapi_application.core`."""
