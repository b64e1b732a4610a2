"""The first page of the encyclopedia."""
