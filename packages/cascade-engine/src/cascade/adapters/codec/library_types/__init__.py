"""Types of libraries as data: arrays of NumPy, frames of pandas, Python's own collections."""
