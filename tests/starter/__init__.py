"""Tests: starter."""
