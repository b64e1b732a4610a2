"""Search and suggest."""
