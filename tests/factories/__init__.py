"""Write documents for tests, a module for each kind."""
