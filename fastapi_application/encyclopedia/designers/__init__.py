"""Designers."""
