"""`python -m commonwatt.cli`."""

from commonwatt.cli import main

main()
