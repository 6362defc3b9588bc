"""Worker secrets: where a process that goes on with the runs of others has the values of their secrets from.

A store has no secrets. So each process reads them from its own surroundings: from what it was given in code, from the
environment, or from files, such as Kubernetes and Docker mount them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from cascade.spec.calls.missing import MISSING
from cascade.spec.common import ParamContract
from cascade.spec.errors import SpecError

VARIABLE = "CASCADE_SECRET_"
"""What the names of environment variables with secrets begin with; the name of the secret follows in upper case."""


class WorkerSecrets:
    """Finds the values of secrets: among those `given`, in the environment, in a folder of files, in this order.

    A file has the name of its secret, and holds its value as text. One line break at its end does not belong to the
    value: many editors and commands put one there. Files are read anew each time, so that a secret may be changed.

    Raises:
        SpecError: If `given` is no mapping, or there is no such folder.
    """

    def __init__(self, given: Mapping[str, object] | None, folder: str | os.PathLike[str] | None) -> None:
        if given is not None and not isinstance(given, Mapping):
            raise SpecError(f"secrets= got {type(given).__name__}", "give a dict of names and values")
        self._given = given or {}
        self._folder = None if folder is None else Path(folder)
        if self._folder is not None and not self._folder.is_dir():
            raise SpecError(
                f"secrets_dir={str(folder)!r} is no folder", "give one with a file for each secret"
            )

    def find(self, contract: ParamContract) -> object:
        """Return the value of a secret; `MISSING` if there is none.

        Raises:
            InputError: If its text is not of its type.
            OSError: If its file can't be read.
        """
        if contract.name in self._given:
            return self._given[contract.name]
        text = os.environ.get(VARIABLE + contract.name.upper())
        if text is None:
            text = self._text_of_file(contract.name)
        return MISSING if text is None else contract.parse(text)

    def _text_of_file(self, name: str) -> str | None:
        if self._folder is None:
            return None
        try:
            text = (self._folder / name).read_text("utf-8")
        except FileNotFoundError:
            return None
        return text.removesuffix("\n").removesuffix("\r")
