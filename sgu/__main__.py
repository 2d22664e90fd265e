"""The command `sgu`, as `python -m sgu`."""

import gc

from sgu.host.fast_imports import fast_imports

with fast_imports():
    from sgu.cli import main
gc.freeze()  # spares a collection of all modules at exit, which takes a second

if __name__ == "__main__":
    main()
