"""Every enumeration, with its labels."""
