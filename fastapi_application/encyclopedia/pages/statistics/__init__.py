"""The encyclopedia in numbers."""
