"""Tests: middleware."""
