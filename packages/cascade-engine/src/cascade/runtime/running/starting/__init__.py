"""How a run starts: what is checked, what is opened, and what a record has of it already."""
