"""Redis: the client and what is built on it."""
