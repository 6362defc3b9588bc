"""Serialisation: the picture of a graph as JSON, and back."""

from cascade.graph.serialisation.json_reader import from_json
from cascade.graph.serialisation.json_writer import to_json

__all__ = ["from_json", "to_json"]
