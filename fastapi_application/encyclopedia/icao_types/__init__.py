"""ICAO type designators."""
