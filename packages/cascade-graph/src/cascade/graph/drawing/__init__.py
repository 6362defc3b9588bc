"""Drawing of graphs, with the calls that tasks may return."""
