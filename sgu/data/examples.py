"""Labelled examples as tensors, images or texts, and the shape that a network must know."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from sgu.data import memmap
from sgu.files.errors import DataError
from sgu.host.devices import to_device


@dataclass(frozen=True)
class Shape:
    """The data that a network is built for: its classes, and images of channels x side x side, or
    texts of `length` tokens out of a `vocabulary` (0 for images)."""

    classes: int
    channels: int = 3
    side: int = 32
    vocabulary: int = 0
    length: int = 0

    @property
    def text(self) -> bool:
        return self.vocabulary > 0


STORED = (torch.uint8, torch.float32, torch.int32, torch.int64)


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled examples. inputs: images, uint8 (N, C, H, W), or tokens, int32 (N, L), 0 is padding;
    of data of one's own any shape (N, ...), also of float32 or int64; targets: int64 (N,).

    names: of their image files, as CLASS/FILE, if they come from such. file: the file of the
    inputs, if they are mapped from disk. A mapped set is pickled as its path,
    any other as arrays: all processes that get it from Ray read the one copy in its store.
    """

    inputs: Tensor
    targets: Tensor
    file: Path | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.inputs.dtype not in STORED or self.inputs.ndim < 2:
            raise DataError(
                f"inputs are {self.inputs.dtype} {tuple(self.inputs.shape)}; need (N, ...) of "
                "bytes (uint8), float32 or tokens (int32, int64)"
            )
        if self.targets.dtype != torch.int64 or self.targets.shape != self.inputs.shape[:1]:
            raise DataError(
                f"targets are {self.targets.dtype} {tuple(self.targets.shape)}; "
                f"need int64 ({len(self.inputs)},)"
            )

    @classmethod
    def mapped(
        cls, file: Path, targets: Tensor | None = None, names: tuple[str, ...] = ()
    ) -> Examples:
        """Map the inputs that sgu.data.memmap wrote. targets: by default those beside them."""
        targets = memmap.read_targets(file) if targets is None else targets
        return cls(memmap.open_inputs(file), targets, file, names)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.file is not None:
            return Examples.mapped, (self.file, self.targets, self.names)
        return _from_arrays, (self.inputs.cpu().numpy(), self.targets.cpu().numpy(), self.names)

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def labels(self) -> Tensor:
        """Return the targets on the CPU, copied once."""
        return self.targets.cpu()

    @property
    def is_bytes(self) -> bool:
        return self.inputs.dtype == torch.uint8

    def to(self, device: torch.device | str) -> Examples:
        """Return the examples on `device`; a mapped set stays on disk until `at` moves parts."""
        if self.file is not None:
            return self
        moved = replace(self, inputs=self.inputs.to(device), targets=self.targets.to(device))
        vars(moved)["labels"] = self.labels
        return moved

    def take(self, indices: Tensor) -> Examples:
        """Return the examples at `indices` (n,), in that order; mapped if they exceed memory."""
        size = len(indices) * self.inputs[:1].nbytes
        if self.file is not None and size > memmap.memory_limit():
            return self._take_on_disk(self.file, indices)
        return Examples(self.inputs[indices], self.targets[indices], names=self._names_at(indices))

    def _names_at(self, indices: Tensor) -> tuple[str, ...]:
        return tuple(self.names[index] for index in indices.tolist()) if self.names else ()

    def at(self, indices: Tensor, device: torch.device | str) -> tuple[Tensor, Tensor]:
        """Return (inputs, targets) at `indices` (n,), taken where they lie, on `device`."""
        device, indices = torch.device(device), to_device(indices, self.inputs.device)
        inputs, targets = self.inputs[indices], self.targets[indices]
        return to_device(inputs, device), to_device(targets, device)

    def blocks(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes of the inputs, in order, without loading a mapped set as a whole."""
        if self.file is not None:
            yield from memmap.read_blocks(self.file, self.inputs.nbytes)
        else:
            yield self.inputs.contiguous().numpy().data

    def _take_on_disk(self, file: Path, indices: Tensor) -> Examples:
        def write(stream: BinaryIO) -> np.ndarray:
            for block in indices.split(max(1, memmap.BLOCK // self.inputs[0].nbytes)):
                stream.write(self.inputs[block].numpy().data)
            return self.targets[indices].numpy()

        digest = hashlib.sha256(indices.contiguous().numpy().data).hexdigest()
        shape = (len(indices), *self.inputs.shape[1:])
        dtype = np.uint8 if self.inputs.dtype == torch.uint8 else np.int32
        taken = memmap.write_once(f"{file.parent.name} {digest}", shape, dtype, write)
        return Examples.mapped(taken, self.targets[indices], self._names_at(indices))


def _from_arrays(inputs: np.ndarray, targets: np.ndarray, names: tuple[str, ...]) -> Examples:
    return Examples(memmap.tensor_over(inputs), memmap.tensor_over(targets), names=names)
