"""Tests: the encyclopedia as files."""
