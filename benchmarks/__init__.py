"""Measurements, each a ratio in one run on one machine. `make bench` runs them."""
