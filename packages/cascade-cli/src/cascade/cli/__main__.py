"""`python -m cascade.cli`: the `cascade` command for where its script is not on the path."""

from cascade.cli.commands.main import main

main()
