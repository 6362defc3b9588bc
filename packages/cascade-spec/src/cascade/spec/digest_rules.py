"""The version of the rules for digests of code, arguments, structures and inputs.

A stored digest is stored with the version of its rules. A digest of other rules is an error of its own, and never taken
for a change of code.
"""

DIGEST_RULES = 2
"""The rules of this version: raise it when the same code or the same value gets another digest than before."""

_MADE_BY = {1: "Cascade 0.1"}


def made_by(rules: int) -> str:
    """Return the name of the version whose rules these are."""
    return _MADE_BY.get(rules) or ("this version" if rules == DIGEST_RULES else "another version of Cascade")
