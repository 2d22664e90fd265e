"""What lets a run that was cut off go on: the state of all that changes in it, epoch by epoch.

A snapshot is one safetensors file, its plain values as JSON inside: nothing is unpickled. On the
CPU, a run that goes on from one ends with the bits of a run that was never cut off.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from sgu.files.location import Location

State = Any  # numbers, texts, None and tensors, in lists and in dicts with texts as keys
SHARE = 0.05  # of a run's time that may go into its snapshots


class Part(Protocol):
    """Something that changes in a run: it says how it is, and takes that back."""

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


class Snapshots:
    """The parts of a run by name, and the snapshot that the run goes on from, if there is one.

    file: where the run's snapshot is kept; None keeps nothing.
    """

    def __init__(self, file: Location | None = None):
        self.file, self.parts = file, dict[str, Part]()
        self.found = _found(file) if file else {}
        self.rest = 0.0  # no snapshot before then

    def add(self, name: str, part: Part) -> None:
        """Keep a part from now on; the first of a name that the snapshot knows is restored."""
        self.parts[name] = part
        if name in self.found:
            part.restore(self.found.pop(name))

    def save(self) -> None:
        """Write the state of all parts between two epochs, unless the last snapshot is recent.

        A run goes on without a snapshot that cannot be written: then it has more to do again.
        """
        begin = time.monotonic()
        if self.file and begin >= self.rest:
            with suppress(OSError):
                self.file.write(packed({name: part.state() for name, part in self.parts.items()}))
            end = time.monotonic()
            self.rest = end + (end - begin) / SHARE


def _found(file: Location) -> dict[str, State]:
    """Return the snapshot in a file; none if it cannot be read (a disk failed, say)."""
    content = file.read()
    try:
        return unpacked(content) if content else {}
    except (SafetensorError, KeyError, ValueError):
        return {}


def packed(state: State) -> bytes:
    """A state as a safetensors file."""
    tensors: dict[str, Tensor] = {}

    def named(tensor: Tensor) -> dict[str, str]:
        name = str(len(tensors))
        # a copy: safetensors has neither views nor any memory layout but the contiguous
        tensors[name] = tensor.detach().clone(memory_format=torch.contiguous_format).cpu()
        return {"tensor": name}

    text = json.dumps(state, default=named)
    return save({"state": torch.tensor(list(text.encode()), dtype=torch.uint8)} | tensors)


def unpacked(content: bytes) -> State:
    """The state in such a file."""
    tensors = load(content)
    text = tensors["state"].numpy().tobytes()
    return json.loads(
        text, object_hook=lambda value: tensors[value["tensor"]] if "tensor" in value else value
    )
