"""What is in progress in a run, as data."""
