"""Doctor, deployment and security."""
