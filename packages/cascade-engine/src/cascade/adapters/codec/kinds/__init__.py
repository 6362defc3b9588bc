"""The kinds of values that libraries bring: arrays, frames, collections."""
