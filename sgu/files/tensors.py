"""Opening safetensors files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open


@contextmanager
def open_tensors(path: Path) -> Iterator[Any]:
    """Yield the opened file. Raises OSError, also of one that may not be read, or SafetensorError.

    safetensors itself says of a file without permission that there is none.
    """
    with Path(path).open("rb"):
        pass
    with safe_open(path, framework="pt") as file:
        yield file
