"""What every task on a worker begins with: its share of the machine, and its clock."""

from __future__ import annotations

import os
import platform

import ray
import torch

from sgu.host.provenance import Started
from sgu.training.inference import default_device


def begin() -> tuple[torch.device, Started]:
    """As many threads as CPUs were asked for; of a GPU that is shared, its part of the memory.

    Raises RuntimeError where a GPU was asked for and there is none that torch can use.
    """
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))  # Ray sets it to the CPUs asked for
    torch.set_num_threads(threads)
    device = default_device()
    share = ray.get_runtime_context().get_assigned_resources().get("GPU", 0.0)
    if share and device.type != "cuda":
        raise RuntimeError(
            f"{share:g} GPU is this task's by Ray, but torch {torch.__version__} sees none on "
            f"{platform.node()}: mend its driver, or ask for none (gpus_per_trial: 0)"
        )
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what the trial before has left to this process
        torch.cuda.set_per_process_memory_fraction(min(share or 1.0, 1.0))  # Ray only counts
    return device, Started()
