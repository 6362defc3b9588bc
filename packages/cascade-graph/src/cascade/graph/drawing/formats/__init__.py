"""Formats: a drawing as text of Graphviz, Mermaid or SVG."""
