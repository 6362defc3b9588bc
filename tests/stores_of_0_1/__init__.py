"""Stores that Cascade 0.1 has written: runs and a cache in SQLite files, and both as keys of a Redis server."""
