"""Solvers: they find an order for a graph."""
