"""What every task on a worker begins with: its share of the machine, and its clock."""

from __future__ import annotations

import os

import ray
import torch

from sgu.inference import default_device
from sgu.rows import Started


def begin() -> tuple[torch.device, Started]:
    """As many threads as CPUs were asked for; of a GPU that is shared, its part of the memory."""
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))  # Ray sets it to the CPUs asked for
    torch.set_num_threads(threads)
    device = default_device()
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what the trial before has left to this process
        share = ray.get_runtime_context().get_assigned_resources().get("GPU", 1.0)
        torch.cuda.set_per_process_memory_fraction(min(share, 1.0))  # Ray itself only counts
    return device, Started()
