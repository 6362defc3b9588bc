"""Executors: they make calls."""
