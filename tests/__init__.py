"""Tests of FrankenJet API."""
