"""Make the picture that stands on the page of each example.

    hatch run pictures

They are the same on every machine: the boxes are placed without Graphviz.
"""

import runpy
from pathlib import Path

import cascade as cs

HERE = Path(__file__).parent
EXAMPLES = ("access_log", "agent", "etl", "fastapi_service", "primes")


def picture_of(example: str) -> str:
    """Return the picture of an example's workflow; nothing of it is run."""
    module = runpy.run_path(str(HERE.parent / f"{example}.py"))
    return cs.draw(module["workflow"](), use_dot=False).svg


if __name__ == "__main__":
    for name in EXAMPLES:
        (HERE / f"{name}.svg").write_text(picture_of(name), encoding="utf-8")
