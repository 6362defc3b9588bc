"""The libraries that open SQLite files, behind one small protocol."""
