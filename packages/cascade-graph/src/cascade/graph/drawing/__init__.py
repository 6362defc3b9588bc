"""Drawing: a graph as text that a tool turns into a picture."""
