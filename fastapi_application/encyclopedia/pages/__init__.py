"""What readers see of several kinds at once: search, timeline, statistics and the rest. Pages read; nothing here is written."""
