"""What all entities share: transactions, the read and list queries, the generic service and its routes."""
