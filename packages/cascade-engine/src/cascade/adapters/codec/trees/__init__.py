"""Recorded targets: a lazy tree as bytes, so that another process goes on with it.

A record holds references to tasks (module and qualified name), structure, policies, and literal values as its codec
stores them. It is data: reading it imports nothing and calls nothing. What a run of it calls are tasks and factories of
modules that the program has imported.
"""

from cascade.adapters.codec.trees.tree_reader import decode_target
from cascade.adapters.codec.trees.tree_writer import encode_target

__all__ = ["decode_target", "encode_target"]
