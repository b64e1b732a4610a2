"""`make bench`: how fast the service answers, beside a raw ASGI application and the usual stack on the same data."""
