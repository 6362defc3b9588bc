"""What comes from outside: types and their conversion, files, and the inputs that a workflow declares."""
