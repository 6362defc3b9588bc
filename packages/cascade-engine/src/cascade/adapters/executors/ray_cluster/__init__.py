"""What the executor on Ray consists of: the connection, what a worker does, and what Ray keeps for it."""
