"""Tests of the history: safe writes, revisions, the feed of changes and the workflow."""
