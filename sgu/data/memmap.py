"""Sets larger than memory: decoded once into a file, which is then mapped.

Training reads the examples in random order, and Parquet has no random access: its rows come in
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

BLOCK = 1 << 20  # bytes that are read or copied at a time
INPUTS, TARGETS = "inputs.npy", "targets.npy"
Writer = Callable[[BinaryIO], np.ndarray]  # writes the inputs in order; returns the targets


def data_folder() -> Path:
    """Return the folder of downloads and decoded sets: SGU_DATA, or ~/.cache/sgu.

    Raises DataError for a user without a home.
    """
    folder = os.path.expanduser(os.environ.get("SGU_DATA") or "~/.cache/sgu")
    if folder.startswith("~"):  # neither HOME nor an entry in the list of users
        raise DataError("this user has no home folder: name a folder for data in SGU_DATA")
    return Path(folder).absolute()


def memory_limit() -> int:
    """Return how many bytes of inputs may be in memory: SGU_MEMORY_LIMIT, or half of what is free.

    Raises DataError if SGU_MEMORY_LIMIT is no whole number.
    """
    limit = os.environ.get("SGU_MEMORY_LIMIT")
    if not limit:
        return _available() // 2
    if not limit.isdecimal():
        raise DataError(f"SGU_MEMORY_LIMIT is {limit!r}; need a whole number of bytes")
    return int(limit)


def write_once(key: str, shape: tuple[int, ...], dtype: type[np.generic], write: Writer) -> Path:
    """Return the file of the inputs that `key` stands for, after writing it if it is missing.

    key: changes when the content does. A set is written under another name and then renamed, so
    that a set in its place is whole, and processes that write the same set do not collide.
    Raises DataError if the disk is full or closed.
    """
    name = hashlib.sha256(f"{key} {shape} {dtype.__name__}".encode()).hexdigest()[:32]
    folder = data_folder() / "decoded" / name
    if not folder.is_dir():
        with _temporary(folder.parent, math.prod(shape) * np.dtype(dtype).itemsize) as temporary:
            with open(temporary / INPUTS, "wb") as file:
                np.lib.format.write_array_header_1_0(file, _header(shape, dtype))
                targets = write(file)
                file.flush()
                os.fsync(file.fileno())
            np.save(temporary / TARGETS, targets)
            _rename(temporary, folder)
    return folder / INPUTS


def open_inputs(file: Path) -> Tensor:
    """Return the inputs in `file` as a tensor that lies on disk and must not be written to.

    The map is read-only: a writable private map is charged to memory in whole (measured: 60 GiB
    on a machine of 23 are refused), and a writable shared one could change the file.
    """
    try:
        array = np.lib.format.open_memmap(file, mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{file}: no decoded inputs ({error}): load the source again, on this machine"
        ) from error
    return tensor_over(array)


def tensor_over(array: np.ndarray) -> Tensor:
    """Return a tensor in the memory of `array`, which may be read-only."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def read_targets(file: Path) -> Tensor:
    """Return the targets beside the inputs in `file`."""
    try:
        targets = np.lib.format.open_memmap(file.parent / TARGETS, mode="r")
        return torch.from_numpy(np.array(targets))
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{file.parent}: damaged ({error}): delete this folder; it is then decoded again"
        ) from error


def read_blocks(file: Path, size: int) -> Iterator[bytes]:
    """Yield the last `size` bytes of `file`, its array. Pages read through a map would count as
    used memory."""
    with open(file, "rb") as stream:
        stream.seek(-size, os.SEEK_END)
        while block := stream.read(BLOCK):
            yield block


def _header(shape: tuple[int, ...], dtype: type[np.generic]) -> dict[str, object]:
    return {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}


@contextmanager
def _temporary(folder: Path, size: int) -> Iterator[Path]:
    """Yield a new folder in `folder` for `size` bytes; it is removed unless it was renamed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free < size:
            raise DataError(
                f"{folder}: the decoded set takes {size:,} bytes, {free:,} are free: "
                "point SGU_DATA to a larger disk"
            )
        with tempfile.TemporaryDirectory(
            prefix="unfinished-", dir=folder, ignore_cleanup_errors=True
        ) as temporary:
            folder_for_all = Path(temporary) / "set"  # the temporary one is for its owner alone
            folder_for_all.mkdir()
            yield folder_for_all
    except OSError as error:
        raise DataError(
            f"{folder}: the decoded set cannot be written ({error}): "
            "point SGU_DATA to a folder with room that you may write to"
        ) from error


def _rename(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process wrote the same content first
            raise


def _available() -> int:
    """Return the bytes of memory that the machine and its container leave to this process."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable"):
            limits.append(int(line.split()[1]) * 1024)
    container = _text("/sys/fs/cgroup/memory.max").strip()
    if container.isdecimal():
        used = _text("/sys/fs/cgroup/memory.current").strip()
        limits.append(max(0, int(container) - int(used or 0)))
    return min(limits)


def _text(path: str) -> str:
    file = Path(path)
    return file.read_text() if file.is_file() else ""
