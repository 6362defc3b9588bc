"""State in PostgreSQL. Needs the extra `cascade-engine[postgres]`."""
