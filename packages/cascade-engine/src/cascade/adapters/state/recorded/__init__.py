"""A durable state backend over any journal: the facts of a run in memory, and what of them is to be written."""
