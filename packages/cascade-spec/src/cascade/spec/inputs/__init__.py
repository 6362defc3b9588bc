"""What comes from outside: types and their conversion, files, and who declares what."""
