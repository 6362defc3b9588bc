"""Progress: how far runs have come, shown in a terminal, as plain lines, or in a notebook."""
