"""Runs in a server: what those of a process share, and the journal of one of them, whatever the kind of server."""
