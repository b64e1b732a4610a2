"""Categories of tags."""
