"""What can go wrong with a backup."""


class BackupError(Exception):
    """A backup or a restore cannot be done; the text is one sentence that says why and what to do."""


class MissingObjectError(BackupError):
    """A place has nothing under this key."""
