"""The source of functions: their text, its syntax, and the names that it uses."""
