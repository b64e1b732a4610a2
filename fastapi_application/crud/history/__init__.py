"""The history of every entity: its revisions, what differs between them, and the feed of public changes."""
