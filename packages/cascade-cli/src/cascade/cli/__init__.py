"""The command line: a command made from a workflow, and the `cascade` command for workflows in files."""

import sys
from types import ModuleType
from typing import Any

from cascade.cli.app import cli
from cascade.cli.commands.main import main
from cascade.cli.target_loading import TargetNotFoundError

__all__ = ["TargetNotFoundError", "cli", "main"]


class _CallableModule(ModuleType):
    """This module, called as the function of its name.

    Importing `cascade.cli` binds the module itself to `cascade.cli`, where users expect the function: `cs.cli(...)`.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return cli(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
