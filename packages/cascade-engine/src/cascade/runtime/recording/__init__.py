"""Durable runs: what is recorded, committed, and read again."""
