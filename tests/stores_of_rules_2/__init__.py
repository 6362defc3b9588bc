"""A store of runs whose digests are made by rules 2, and the workflows that it has runs of."""
