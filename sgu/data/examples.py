"""Labelled examples as tensors: images or texts, and what a network must know of their shape."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from sgu.data.memmap import BLOCK, blocks, mapped, memory_limit, store, stored_targets
from sgu.files.errors import DataError

__all__ = ["DataError", "Examples", "Shape"]


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
    targets: int64 (N,).

    file: where the inputs lie, if they are mapped from disk. A mapped set is pickled as its path,
    another as arrays: processes that Ray hands it to all read the one copy in its store.
    """

    inputs: Tensor
    targets: Tensor
    file: Path | None = None

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

    @classmethod
    def mapped(cls, file: Path, targets: Tensor | None = None) -> Examples:
        """What sgu.data.memmap wrote as `file`, left on disk. targets: default those beside it."""
        return cls(mapped(file), stored_targets(file) if targets is None else targets, file)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.file is not None:
            return Examples.mapped, (self.file, self.targets)
        return _over, (self.inputs.cpu().numpy(), self.targets.cpu().numpy())

    def __len__(self) -> int:
        return len(self.targets)

    def to(self, device: torch.device | str) -> Examples:
        """On `device`; a mapped set stays where it is, and `at` moves its rows."""
        if self.file is not None:
            return self
        return Examples(self.inputs.to(device), self.targets.to(device))

    def take(self, indices: Tensor) -> Examples:
        """The rows `indices` (n,), in that order; what does not fit in memory is mapped again."""
        size = len(indices) * self.inputs[:1].nbytes
        if self.file is not None and size > memory_limit():
            return self._stored(self.file, indices)
        return Examples(self.inputs[indices], self.targets[indices])

    def at(self, rows: Tensor, device: torch.device | str) -> tuple[Tensor, Tensor]:
        """(inputs, targets) of the rows (n,), on `device`; they are indexed where they lie."""
        device = torch.device(device)
        return _moved(self.inputs, rows, device), _moved(self.targets, rows, device)

    def blocks(self) -> Iterator[bytes | memoryview]:
        """The bytes of the inputs, in order; those of a mapped set never lie in memory at once."""
        if self.file is not None:
            yield from blocks(self.file, self.inputs.nbytes)
        else:
            yield self.inputs.contiguous().numpy().data

    def _stored(self, file: Path, indices: Tensor) -> Examples:
        def fill(stream: BinaryIO) -> np.ndarray:
            for rows in indices.split(max(1, BLOCK // self.inputs[0].nbytes)):
                stream.write(self.inputs[rows].numpy().data)
            return self.targets[indices].numpy()

        digest = hashlib.sha256(indices.contiguous().numpy().data).hexdigest()
        shape = (len(indices), *self.inputs.shape[1:])
        dtype = np.uint8 if self.inputs.dtype == torch.uint8 else np.int32
        taken = store(f"{file.parent.name} {digest}", shape, dtype, fill)
        return Examples.mapped(taken, self.targets[indices])


def _over(inputs: np.ndarray, targets: np.ndarray) -> Examples:
    """Examples where the arrays lie, which may be memory that cannot be written to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return Examples(torch.from_numpy(inputs), torch.from_numpy(targets))


def _moved(tensor: Tensor, rows: Tensor, device: torch.device) -> Tensor:
    """The rows of tensor on device; a copy from the host to CUDA does not wait for the device."""
    chosen = tensor[rows.to(tensor.device)]
    if chosen.device.type == "cpu" and device.type == "cuda":
        return chosen.pin_memory().to(device, non_blocking=True)
    return chosen.to(device)
