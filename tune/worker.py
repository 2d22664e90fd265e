"""What every task on a worker begins with: its threads, its device and its clock."""

from __future__ import annotations

import os

import torch

from sgu.inference import default_device
from sgu.rows import Started


def begin() -> tuple[torch.device, Started]:
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))  # Ray sets it to the CPUs asked for
    torch.set_num_threads(threads)
    return default_device(), Started()
