"""Sets larger than memory: decoded once into a file, which is then mapped.

Training reads the rows in random order, and Parquet has no random access: its rows come in
compressed pages. So one pass with bounded memory writes the decoded inputs as one .npy file, and
the tensor of the inputs is a view of it: the kernel reads a page when it is touched, drops it when
memory is short, and shares it between all processes of the machine.
"""

import hashlib
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from sgu.files.errors import DataError

BLOCK = 1 << 20  # bytes: how much of a file is read, or of a set is copied, at a time
INPUTS, TARGETS = "inputs.npy", "targets.npy"
Fill = Callable[[BinaryIO], np.ndarray]  # writes the inputs row after row; returns the targets


def root() -> Path:
    """Where downloads and decoded sets are kept: SGU_DATA, or ~/.cache/sgu."""
    return Path(os.environ.get("SGU_DATA") or "~/.cache/sgu").expanduser().absolute()


def memory_limit() -> int:
    """Bytes of inputs that may be resident: SGU_MEMORY_LIMIT, or half of what is available."""
    given = os.environ.get("SGU_MEMORY_LIMIT")
    if not given:
        return _available() // 2
    if not given.isdecimal():
        raise DataError(f"SGU_MEMORY_LIMIT is {given!r}; need a whole number of bytes")
    return int(given)


def store(key: str, shape: tuple[int, ...], dtype: type[np.generic], fill: Fill) -> Path:
    """The file with the inputs of `key`, filled unless it is there already.

    key: changes where the content does. A set is filled under another name and then renamed, so
    that what is found is whole, and two processes that store the same one do not meet.
    """
    name = hashlib.sha256(f"{key} {shape} {dtype.__name__}".encode()).hexdigest()[:32]
    folder = root() / "decoded" / name
    if not folder.is_dir():
        with _temporary(folder.parent, math.prod(shape) * np.dtype(dtype).itemsize) as temporary:
            with open(temporary / INPUTS, "wb") as file:
                np.lib.format.write_array_header_1_0(file, _header(shape, dtype))
                targets = fill(file)
                file.flush()
                os.fsync(file.fileno())
            np.save(temporary / TARGETS, targets)
            _rename(temporary, folder)
    return folder / INPUTS


def mapped(file: Path) -> Tensor:
    """The stored inputs as a tensor that lies on disk; it must not be written to.

    The map is read-only: a private one that can be written is charged to memory in whole (measured:
    60 GiB on a machine of 23 are refused), and a shared one could change the file.
    """
    try:
        array = np.lib.format.open_memmap(file, mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{file}: no decoded inputs ({error}): load the source anew, on this machine"
        ) from error
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def stored_targets(file: Path) -> Tensor:
    """The targets beside the inputs in `file`."""
    try:
        targets = np.lib.format.open_memmap(file.parent / TARGETS, mode="r")
        return torch.from_numpy(np.array(targets))
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{file.parent}: damaged ({error}): delete this folder; it is then decoded anew"
        ) from error


def blocks(file: Path, size: int) -> Iterator[bytes]:
    """The last `size` bytes of file, its array, without a map: read pages would count as used."""
    with open(file, "rb") as stream:
        stream.seek(-size, os.SEEK_END)
        while block := stream.read(BLOCK):
            yield block


def _header(shape: tuple[int, ...], dtype: type[np.generic]) -> dict[str, object]:
    return {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}


@contextmanager
def _temporary(folder: Path, size: int) -> Iterator[Path]:
    """A new folder in `folder` for `size` bytes; removed after, unless it was renamed."""
    temporary = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free < size:
            raise DataError(
                f"{folder}: the decoded set takes {size:,} bytes, {free:,} are free: "
                "point SGU_DATA to a larger disk"
            )
        temporary = Path(tempfile.mkdtemp(prefix="unfinished-", dir=folder))
        yield temporary
    except OSError as error:
        raise DataError(
            f"{folder}: the decoded set cannot be written ({error}): "
            "point SGU_DATA to a folder with room that you may write to"
        ) from error
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


def _rename(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was faster, with the same content
            raise


def _available() -> int:
    """Bytes of memory that this process could take: of the machine, or of its container."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    meminfo = _text("/proc/meminfo")
    limits += [int(row.split()[1]) * 1024 for row in meminfo.splitlines() if "MemAvailable" in row]
    container = _text("/sys/fs/cgroup/memory.max").strip()
    if container.isdecimal():
        used = _text("/sys/fs/cgroup/memory.current").strip()
        limits.append(max(0, int(container) - int(used or 0)))
    return min(limits)


def _text(path: str) -> str:
    file = Path(path)
    return file.read_text() if file.is_file() else ""
