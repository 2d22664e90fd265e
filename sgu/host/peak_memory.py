"""How much memory a run took at most: of the GPU where it had one, else of its process."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import torch

MIB = 2**20
FROM_NOW = Path("/proc/self/clear_refs")  # "5": the high-water mark starts anew (Linux)
STATUS = Path("/proc/self/status")


def reset_peak() -> None:
    """Measure from here on, where that can be; else from the process's start."""
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    try:
        FROM_NOW.write_text("5")
    except OSError:
        return


def peak(device: torch.device) -> float:
    """In MiB: allocated on the GPU, or resident in this process, shared pages included."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    if STATUS.is_file():
        found = re.search(r"^VmHWM:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
        if found:
            return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
