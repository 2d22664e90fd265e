"""`python -m tune` is `sgu-study`."""

import gc

from sgu.host.fast_imports import fast_imports

with fast_imports():
    from tune.cli import main
gc.freeze()  # these objects stay: collecting them at exit would take a second

if __name__ == "__main__":
    main()
