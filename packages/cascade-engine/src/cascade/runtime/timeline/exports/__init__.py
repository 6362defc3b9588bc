"""What is made of a timeline: reports, traces, pictures and plain data."""
