"""Layout: where the boxes and arrows of a picture are."""
