"""What differs between devices: copies that the host does not wait for, and precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def accelerated(device: torch.device) -> bool:
    """Return True for a device that works on beside the host, as CUDA does."""
    return device.type not in ("cpu", "mps")


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Return `tensor` on `device`; a copy from the host to a GPU does not wait for it."""
    if tensor.device.type == "cpu" and accelerated(device):
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def precision(device: torch.device) -> torch.autocast:
    """Return the context of training's forward passes: bfloat16 on a GPU, else float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=accelerated(device))


@contextmanager
def fastest_kernels() -> Iterator[None]:
    """Let cuDNN time its convolutions inside and take the fastest, as all batches are alike."""
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark
    try:
        cudnn.benchmark = True
        yield
    finally:
        cudnn.benchmark = before


@contextmanager
def full_float32() -> Iterator[None]:
    """Let convolutions and products inside keep all 24 bits; CUDA's TF32 keeps 11."""
    settings = torch.backends.cudnn.conv, torch.backends.cuda.matmul  # type: ignore[attr-defined]
    before = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = "ieee"
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value
