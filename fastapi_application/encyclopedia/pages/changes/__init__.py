"""The feed of public changes."""
