"""Mutation testing on demand: `hatch run mutants --sample 300 --seed 1`.

Small changes are made to delicate modules, one at a time and at random, and the tests that reach the changed line are
run: a change that no test notices has survived. cosmic-ray makes the changes; coverage tells which tests reach a line.
Nothing in the checkout is changed: all of it happens in copies. What was measured and tried is kept in `build/mutants`,
so that an interrupted sample goes on where it stopped, and a survivor is tried again when a test was added.
"""
