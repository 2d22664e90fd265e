"""`python -m tune` is `sgu-study`."""

import gc

from sgu.uncollected import uncollected

with uncollected():
    from tune.cli import main
gc.freeze()  # all this stays: to look through it once more at the end would take a second

if __name__ == "__main__":
    main()
