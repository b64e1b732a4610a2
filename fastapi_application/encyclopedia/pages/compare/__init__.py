"""Aircraft side by side."""
