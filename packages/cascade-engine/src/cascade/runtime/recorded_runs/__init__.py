"""Recorded runs: what a store shows of runs that other processes drive, or that are gone. No value is read."""
