"""How single calls are made in asyncio tasks, with their policies, and what their ends bring about at once."""
