"""Accounts on FastAPI Users: bearer tokens in PostgreSQL, hashed."""
