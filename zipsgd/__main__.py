"""``python -m zipsgd``: the command line."""

from zipsgd.host.cli.app import main

main()
