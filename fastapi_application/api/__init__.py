"""What is served: version 1 of the API, health, the documentation."""
