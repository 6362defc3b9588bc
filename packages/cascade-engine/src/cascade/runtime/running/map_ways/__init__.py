"""The ways in which the items of a map are made, by their index."""
