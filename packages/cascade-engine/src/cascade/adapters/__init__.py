"""Adapters: the executors, stores, caches, codecs and solvers that the engine uses by default."""
