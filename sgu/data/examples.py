"""Labelled examples as tensors: images or texts, and what a network must know of their shape."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


class DataError(ValueError):
    """The data cannot be used as they are; the message names the file, the row and what to do."""


@dataclass(frozen=True)
class Shape:
    """What a network is built for: its classes, and images of channels x side x side, or texts of
    `length` tokens out of a `vocabulary` (0 for images)."""

    classes: int
    channels: int = 3
    side: int = 32
    vocabulary: int = 0
    length: int = 0

    @property
    def text(self) -> bool:
        return self.vocabulary > 0


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled examples. inputs: images, uint8 (N, C, H, W), or tokens, int32 (N, L), 0 is padding;
    targets: int64 (N,)."""

    inputs: Tensor
    targets: Tensor

    def __post_init__(self) -> None:
        if (self.inputs.dtype, self.inputs.ndim) not in ((torch.uint8, 4), (torch.int32, 2)):
            raise DataError(
                f"inputs are {self.inputs.dtype} {tuple(self.inputs.shape)}; "
                "need images, uint8 (N, C, H, W), or tokens, int32 (N, L)"
            )
        if self.targets.dtype != torch.int64 or self.targets.shape != self.inputs.shape[:1]:
            raise DataError(
                f"targets are {self.targets.dtype} {tuple(self.targets.shape)}; "
                f"need int64 ({len(self.inputs)},)"
            )

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device | str) -> Examples:
        return Examples(self.inputs.to(device), self.targets.to(device))

    def take(self, indices: Tensor) -> Examples:
        """The rows `indices` (n,), in that order."""
        return Examples(self.inputs[indices], self.targets[indices])
