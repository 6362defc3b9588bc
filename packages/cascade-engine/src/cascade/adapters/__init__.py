"""Adapters: what the engine is wired with by default."""
