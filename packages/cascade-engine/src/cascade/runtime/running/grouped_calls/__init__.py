"""Calls that go to a worker together: a chunk of one level, a chain, items of a map."""
