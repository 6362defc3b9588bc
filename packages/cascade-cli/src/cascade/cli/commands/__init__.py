"""The commands of `cascade`."""
