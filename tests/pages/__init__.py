"""Tests: what is made of several kinds."""
