"""Timelines: which calls runs made and when, in columns that are filled in bulk."""
