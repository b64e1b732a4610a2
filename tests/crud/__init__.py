"""Tests: crud."""
