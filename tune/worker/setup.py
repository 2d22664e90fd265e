"""Sets up a task on a worker: its share of the machine, and its clock."""

from __future__ import annotations

import os
import platform

import ray
import torch

from sgu.host.provenance import Started
from sgu.training.inference import default_device


def begin() -> tuple[torch.device, Started]:
    """Give torch the task's threads and its share of GPU memory; return its device and clock.

    Raises RuntimeError if Ray assigned a GPU that torch cannot use.
    """
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))  # Ray sets it to the task's CPUs
    torch.set_num_threads(threads)
    device = default_device()
    share = ray.get_runtime_context().get_assigned_resources().get("GPU", 0.0)
    if share and device.type != "cuda":
        raise RuntimeError(
            f"Ray gave this task {share:g} GPU, but torch {torch.__version__} sees none on "
            f"{platform.node()}: mend its driver, or ask for none (gpus_per_trial: 0)"
        )
    if device.type == "cuda":
        torch.cuda.empty_cache()  # memory that this process kept after the trial before
        torch.cuda.set_per_process_memory_fraction(min(share or 1.0, 1.0))  # Ray only counts
    return device, Started()
