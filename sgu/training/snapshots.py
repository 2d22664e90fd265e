"""Snapshots of a run, epoch by epoch, from which a run that was cut off goes on.

A snapshot is one safetensors file, its plain values as JSON inside: nothing is unpickled. On the
CPU, a run that goes on from one ends with the bits of an uninterrupted run.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from contextlib import suppress
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from sgu.files.location import Location

State = Any  # numbers, texts, None and tensors, in lists and in dicts with texts as keys
SHARE = 0.05  # the share of a run's time that its snapshots may take


class Part(Protocol):
    """Something that changes in a run: it gives its state and restores it."""

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


class Snapshots:
    """The parts of a run by name, and the states in the snapshot that it goes on from.

    file: where the run's snapshot is kept; None keeps nothing; saved: the states that no part has
    taken yet.
    """

    def __init__(self, file: Location | None = None):
        self.file, self.parts = file, dict[str, Part]()
        self.saved = _read(file) if file else {}
        self.next_save = 0.0

    def add(self, name: str, part: Part) -> None:
        """Keep a part from now on; the first one of a saved name is restored."""
        self.parts[name] = part
        if name in self.saved:
            part.restore(self.saved.pop(name))

    def save(self) -> None:
        """Write the state of all parts between two epochs, unless that takes more than SHARE.

        A run goes on without a snapshot that cannot be written: then it has more to do again.
        """
        begin = time.monotonic()
        if self.file and begin >= self.next_save:
            with suppress(OSError):
                self.file.write(packed({name: part.state() for name, part in self.parts.items()}))
            end = time.monotonic()
            self.next_save = end + (end - begin) / SHARE


def _read(file: Location) -> dict[str, State]:
    """Return the states in a snapshot; one that cannot be read (a failed disk, or a store that does
    not answer) has none: the run begins anew."""
    try:
        content = file.read()
        return unpacked(content) if content else {}
    except (OSError, SafetensorError, KeyError, ValueError):
        return {}


def packed(state: State) -> bytes:
    """Return a state as the bytes of a safetensors file."""
    tensors = list[Tensor]()

    def named(tensor: Tensor) -> dict[str, str]:
        tensors.append(tensor.detach())
        return {"tensor": str(len(tensors) - 1)}

    text = json.dumps(state, default=named)
    content = {"state": torch.tensor(list(text.encode()), dtype=torch.uint8)}
    return save(content | {str(i): part for i, part in enumerate(to_host(tensors))})


def to_host(tensors: list[Tensor]) -> list[Tensor]:
    """Return contiguous copies on the CPU, which share no memory: safetensors has no views. Those
    of one type and device come in one transfer, as each would wait for the device."""
    alike = defaultdict[Any, list[int]](list)
    for i, tensor in enumerate(tensors):
        alike[tensor.dtype, tensor.device].append(i)
    copies = list(tensors)
    for indices in alike.values():
        together = torch.cat([tensors[i].reshape(-1) for i in indices]).cpu()
        parts = together.split([tensors[i].numel() for i in indices])
        for i, part in zip(indices, parts, strict=True):
            copies[i] = part.view(tensors[i].shape).clone()
    return copies


def unpacked(content: bytes) -> State:
    """Return the state in the bytes of such a file."""
    tensors = load(content)
    text = tensors["state"].numpy().tobytes()
    return json.loads(
        text, object_hook=lambda value: tensors[value["tensor"]] if "tensor" in value else value
    )
