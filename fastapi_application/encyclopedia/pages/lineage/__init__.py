"""Which aircraft came from which."""
