"""Design bureaus."""
