"""The read path: cache, limits, and what happens when a server is away."""
