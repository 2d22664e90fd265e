"""`python -m analysis` is `sgu-report`."""

from analysis.cli import main

main()
