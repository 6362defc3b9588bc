"""Runs in SQLite files."""
