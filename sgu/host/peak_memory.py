"""Measures the most memory that a run took: on the GPU if it had one, else in its process."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import torch

MIB = 2**20
FROM_NOW = Path("/proc/self/clear_refs")  # writing "5" resets the high-water mark (Linux)
STATUS = Path("/proc/self/status")


def reset_peak() -> None:
    """Measure from now on if the system can, else from the start of the process."""
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    try:
        FROM_NOW.write_text("5")
    except OSError:
        return


def peak(device: torch.device) -> float:
    """Return the peak in MiB: allocated on the GPU, or resident in this process with its shared
    pages."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    if STATUS.is_file():
        high_water = re.search(r"^VmHWM:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
        if high_water:
            return int(high_water[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
