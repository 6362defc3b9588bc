"""Recorded targets: a lazy tree as bytes, so that another process can go on with it.

A record has the structure of the tree, references to its tasks (module and qualified name), policies, and literal
values as its codec stores them. It is data: reading it imports nothing and calls nothing. A run of it calls tasks and
factories of modules that the program has imported.
"""

from cascade.adapters.codec.trees.tree_reader import decode_target
from cascade.adapters.codec.trees.tree_writer import encode_target

__all__ = ["decode_target", "encode_target"]
