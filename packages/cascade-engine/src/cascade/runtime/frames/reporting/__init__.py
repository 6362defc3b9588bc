"""What a run tells those who watch it: listeners, timelines, spans."""
