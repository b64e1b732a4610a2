"""What every other layer stands on: settings, logging, database, errors, dates. Imports none of them."""
