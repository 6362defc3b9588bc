"""Analysis of graphs and of the source of tasks."""
