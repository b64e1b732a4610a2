"""FrankenJet API: an encyclopedia of aviation history."""
