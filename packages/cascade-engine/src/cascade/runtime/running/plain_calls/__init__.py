"""Plain calls: inline calls that a run makes by itself, one after another."""
