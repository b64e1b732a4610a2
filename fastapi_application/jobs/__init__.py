"""Background jobs: rows of an outbox, written in the transaction of the change that needs them, run by workers.

The broker only wakes a worker. Whatever happens to it, the row stays open until a worker has done the job.
"""
