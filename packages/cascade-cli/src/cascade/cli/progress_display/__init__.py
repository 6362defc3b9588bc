"""The display of progress: how far runs have come, drawn from snapshots."""
