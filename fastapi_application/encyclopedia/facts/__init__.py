"""Short facts."""
