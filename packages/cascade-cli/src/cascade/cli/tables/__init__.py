"""Tables: what commands print about plans, runs, findings and caches, as text and as JSON."""
