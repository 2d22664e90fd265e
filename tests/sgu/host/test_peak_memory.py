"""The peak is that of the present run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sgu.host.peak_memory import FROM_NOW, peak, reset_peak

CPU = torch.device("cpu")


@pytest.mark.skipif(not FROM_NOW.exists(), reason="the system cannot reset its mark")
def test_the_peak_counts_from_its_reset():
    np.ones(300 * 2**17)  # 300 MiB, freed at once
    reset_peak()
    low = peak(CPU)
    np.ones(200 * 2**17)
    high = peak(CPU)
    assert 190 < high - low < 230
    reset_peak()
    assert peak(CPU) < high - 150


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_peak_is_of_allocated_memory():
    device = torch.device("cuda")
    torch.empty(1, device=device)
    reset_peak()
    low = peak(device)
    torch.empty(100 * 2**20, dtype=torch.uint8, device=device)
    assert 99 < peak(device) - low < 110
