"""Timelines in stores: how the one of a recorded run is written, and read again."""
