"""Worker processes: what goes to them, what they do with it, and what comes back."""
