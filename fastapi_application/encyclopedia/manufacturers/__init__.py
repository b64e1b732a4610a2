"""Manufacturers, institutes and workshops."""
