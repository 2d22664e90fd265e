"""`python -m sgu` is `sgu`."""

from sgu.cli import main

main()
