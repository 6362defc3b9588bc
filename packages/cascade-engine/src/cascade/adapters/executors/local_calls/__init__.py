"""Calls on this machine: in threads, and in processes that are kept."""
