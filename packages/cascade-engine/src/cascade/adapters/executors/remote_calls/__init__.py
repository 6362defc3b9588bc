"""Calls on a cluster: what executors share whose workers may be on other machines."""
