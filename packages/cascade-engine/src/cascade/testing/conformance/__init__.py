"""Conformance suites: what a state backend, a cache backend or an executor must do, as tests that anybody can run."""
