"""Backup and restore: the database and the image store as one set of checksummed parts, in a directory or in S3."""
