"""`python -m tune` is `sgu-study`."""

from tune.cli import main

main()
