"""Analysis: what can be said of a graph without running it: its tail calls, cycles and longest path."""
