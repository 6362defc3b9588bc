"""The command line: a command made from a workflow, and the `cascade` command for workflows in files."""

import sys
from types import ModuleType

from cascade.cli.app import cli
from cascade.cli.commands.main import main
from cascade.cli.target_loading import TargetNotFoundError

__all__ = ["TargetNotFoundError", "cli", "main"]


class _CallableModule(ModuleType):
    """This module, which can be called as the function `cli` can.

    An import of `cascade.cli` binds the module to the name `cli` of the facade, where users expect the function: they
    write `cs.cli(...)`. A test holds both spellings.
    """

    __call__ = staticmethod(cli)


sys.modules[__name__].__class__ = _CallableModule
