"""One structure, made ready to be run many times."""
