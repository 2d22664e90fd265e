"""Writing files so that readers see the old file or the whole new one."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a path to write to; that file replaces the one at `path` when the block ends.

    Missing folders are made. If writing fails, the old file stays and the new one is deleted. Who
    may read it is decided by the umask, whatever library writes it (safetensors: the owner alone).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(unfinished_name(path.name))
    try:
        unfinished.touch()
        mode = stat.S_IMODE(unfinished.stat().st_mode)
        yield unfinished
        unfinished.chmod(mode)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())  # a machine that dies leaves no empty file behind
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def unfinished_name(name: str) -> str:
    """Return a name for the unfinished file: readers skip "_", no two threads share it."""
    host = socket.gethostname()[:32]
    return f"_{host}-{os.getpid()}-{threading.get_ident()}_{name[-40:]}"  # at most 255 bytes
