"""Sets up a task on a worker: its share of the machine, and its clock."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import ray
import torch

from sgu.host.provenance import Started
from sgu.training.inference import default_device

CONTEXT = 450 * 2**20  # bytes that CUDA takes for a process before its first tensor


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
        total = torch.cuda.get_device_properties(device).total_memory
        fraction = memory_fraction(min(share or 1.0, 1.0), total)
        torch.cuda.set_per_process_memory_fraction(fraction)  # Ray only counts
    return device, Started()


def memory_fraction(share: float, total: int) -> float:
    """Return the part of a card's memory, `total` bytes, that a process with a `share` of the card
    may allocate: its share of what the driver's context leaves, less its own context.

    Raises RuntimeError where nothing is left.
    """
    context = CONTEXT / total
    fraction = share * (1 - context) - context
    if fraction <= 0:
        raise RuntimeError(
            f"gpus_per_trial = {share:g} leaves no memory of a card with {total / 2**30:.0f} GiB: "
            "raise it"
        )
    return fraction


@contextmanager
def replaced_if_broken() -> Iterator[None]:
    """End the process on an error of the device that is not about memory: its context answers every
    later call with the same error. Ray starts another worker, where the work is tried again."""
    try:
        yield
    except torch.AcceleratorError as error:
        print(f"this worker ends, its device is broken: {error}", file=sys.stderr, flush=True)
        os._exit(1)
