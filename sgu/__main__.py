"""`python -m sgu` is `sgu`."""

import gc

from sgu.host.fast_imports import fast_imports

with fast_imports():
    from sgu.cli import main
gc.freeze()  # all this stays: to look through it once more at the end would take a second

if __name__ == "__main__":
    main()
