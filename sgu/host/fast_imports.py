"""Imports that Python's garbage collector does not slow down."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def fast_imports() -> Iterator[None]:
    """Turn Python's garbage collector off within the block; afterwards it is as it was before.

    Modules are not garbage, but searching thousands of them again and again takes a fifth of the
    time of their import (measured on CPU: `import tune.worker.trial` 2.8 s, without it 2.2 s).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
