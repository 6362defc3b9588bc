"""Charts: a run as a picture, with a row for each task and a bar for each call."""
