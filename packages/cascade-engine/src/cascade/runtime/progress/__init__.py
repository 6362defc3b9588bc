"""Progress: how far runs have come, as data, and who is asked to show it."""
