"""Data of one's own: any map-style Dataset of (input, label), or tensors, read once into memory.

The network sees what the Dataset yields: nothing is normalised, cropped or augmented here. Floats
and tokens are handed on as they are. Bytes, uint8 tensors and PIL images, become 0..1, as by
torchvision's ToTensor, or are standardised where a mean and a deviation are stated.
"""

from __future__ import annotations

import warnings
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sgu.data.base import Source, fingerprint
from sgu.data.examples import Examples
from sgu.data.memmap import memory_limit
from sgu.files.errors import DataError


class MapStyle(Protocol):
    """A map-style Dataset: item i, 0 <= i < len, is a pair (input, label).

    input: a tensor or an array, float or uint8 of any shape (C, H, W) or other, or integer tokens;
    or a PIL image. label: 0..C-1, as an int, or as a tensor or array of one whole number.
    """

    def __getitem__(self, index: int, /) -> Any: ...

    def __len__(self) -> int: ...


Array = Tensor | np.ndarray
Data = MapStyle | tuple[Array, Array]
"""A map-style Dataset, or inputs (N, ...) and labels (N,), as tensors or arrays."""

MOST_CLASSES = 10**6  # a larger label is a mistake


def source_of(train: Data, heldout: Data) -> Source:
    """Return a source of one's own data; its classes are 0..C-1, C - 1 the largest label.

    Raises DataError, naming part and example, for anything that cannot be used.
    """
    parts = [examples_of(name, part) for name, part in (("train", train), ("held-out", heldout))]
    first, second = ((tuple(p.inputs.shape[1:]), p.inputs.dtype) for p in parts)
    if first != second:
        raise DataError(
            f"train inputs are {first[1]} {first[0]}, held-out {second[1]} {second[0]}: give both "
            "the same transform"
        )
    if known := _shared(*parts):
        warnings.warn(
            f"{known} of {len(parts[1])} held-out inputs are in train, too, and pass for unseen: "
            "leave them out of what is held out",
            stacklevel=3,
        )
    highest = max(int(part.targets.max()) for part in parts)
    tokens = not (parts[0].is_bytes or parts[0].inputs.is_floating_point())
    return Source(
        name="own data",
        train=parts[0],
        heldout=parts[1],
        classes=tuple(map(str, range(highest + 1))),
        fingerprint=fingerprint(*parts),
        vocabulary=max(int(part.inputs.max()) for part in parts) + 1 if tokens else 0,
    )


def examples_of(name: str, data: Data) -> Examples:
    """Return the examples of a Dataset or of tensors. name: of the part, for errors."""
    tensors = getattr(data, "tensors", data)  # a TensorDataset holds its own
    if _are_arrays(tensors):
        if len(tensors) != 2:
            raise DataError(f"{name} is {len(tensors)} tensors; need two: inputs and labels")
        inputs, targets = _tensor(tensors[0]), _tensor(tensors[1])
    else:
        inputs, targets = _read(name, data)
    if not len(inputs):
        raise DataError(f"{name} is empty: give examples")
    if inputs.is_floating_point() and not inputs.isfinite().all():
        raise DataError(f"{name}: inputs are NaN or infinite: correct the transform")
    return Examples(inputs, _labels(name, targets))


def _are_arrays(data: Any) -> bool:
    """Return True for a tuple or a list of tensors or arrays, and of nothing else."""
    if not isinstance(data, tuple | list) or not data:
        return False
    return all(isinstance(part, Tensor | np.ndarray) for part in data)


def _shared(train: Examples, heldout: Examples) -> int:
    """Return the number of held-out inputs that are in train, to the bit."""
    known, others = (
        [blake2b(row).digest() for row in part.inputs.contiguous().numpy()]
        for part in (train, heldout)
    )
    trained = set(known)
    return sum(one in trained for one in others)


def _read(name: str, data: Any) -> tuple[Tensor, Tensor]:
    """Return the inputs (N, ...) and labels (N,) of a Dataset, each asked for once."""
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        raise DataError(
            f"{name} is a {type(data).__name__}; need a map-style Dataset of (input, label), or "
            "two tensors: read an iterable one into a list first"
        )
    size = len(data)
    if not size:
        raise DataError(f"{name} is empty: give examples")
    first, _ = _item(name, data, 0)
    if not torch.equal(first.nan_to_num(), _item(name, data, 0)[0].nan_to_num()):
        warnings.warn(
            f"{name} yields another input each time it is asked (augmentation?), and is read once: "
            "give it without random transforms, and augment = True for flips and shifts",
            stacklevel=2,
        )
    if (need := size * first.nbytes) > memory_limit():
        raise DataError(
            f"{name} takes {need:,} bytes, SGU_MEMORY_LIMIT or free memory allow "
            f"{memory_limit():,}: yield uint8 and state mean and std, or take a subset"
        )
    inputs, targets = first.new_empty((size, *first.shape)), torch.empty(size, dtype=torch.int64)
    for index in range(size):
        one, label = _item(name, data, index)
        if (one.shape, one.dtype) != (first.shape, first.dtype):
            raise DataError(
                f"{name}, example {index}: {one.dtype} {tuple(one.shape)} among {first.dtype} "
                f"{tuple(first.shape)}: bring all to one shape in the Dataset's transform"
            )
        inputs[index], targets[index] = one, label
    return inputs, targets


def _item(name: str, data: Any, index: int) -> tuple[Tensor, int]:
    """Return an example's input and label."""
    pair = data[index]
    try:
        one, label = pair
        number = int(label)
        if number != label:
            raise ValueError(f"label {label}")
        return _tensor(one), number
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(
            f"{name}, example {index} is no pair (tensor or PIL image, whole number as label) "
            f"({error}): wrap the Dataset so that it yields one"
        ) from error


def _tensor(one: Any) -> Tensor:
    """Return an input as a tensor; a PIL image as uint8 (C, H, W), C 1 for a grey one, else 3."""
    if isinstance(one, Tensor):
        return _plain(one)
    if hasattr(one, "convert") and hasattr(one, "mode"):
        array = np.asarray(one if one.mode in ("L", "RGB") else one.convert("RGB"))
        return torch.tensor(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))
    return _plain(torch.as_tensor(np.require(one, requirements="W")))


def _plain(inputs: Tensor) -> Tensor:
    """Return inputs as they are kept: float32, uint8 or int64, on the CPU."""
    inputs = inputs.detach().cpu()
    if inputs.is_floating_point():
        return inputs.float()
    return inputs if inputs.dtype in (torch.uint8, torch.int32) else inputs.long()


def _labels(name: str, targets: Tensor) -> Tensor:
    """Return labels as int64 (N,). Raises DataError for others than whole numbers >= 0."""
    labels = targets.detach().cpu()
    whole = not (labels.is_floating_point() and (labels != labels.round()).any())
    if labels.ndim != 1 or not whole or labels.min() < 0:
        raise DataError(
            f"{name}: labels are {labels.dtype} {tuple(labels.shape)}; need whole numbers "
            "0..C-1, one an example"
        )
    if int(labels.max()) >= MOST_CLASSES:
        raise DataError(f"{name}: label {int(labels.max())}; need 0..C-1 of C classes: correct it")
    return labels.long()
