"""Errors of commands."""


class CommandError(Exception):
    """A command failed; the text is one sentence for the person who typed it."""
