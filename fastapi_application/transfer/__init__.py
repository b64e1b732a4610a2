"""The encyclopedia as files (NDJSON), and back: without loss and without what belongs to this installation alone."""
