"""Whole trees without frames: code that is written for a structure."""
