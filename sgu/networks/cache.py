"""The cache: one safetensors file a network, of its weights or its logits."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from sgu.files.atomic import atomic_write
from sgu.files.tensors import open_tensors


@dataclass(frozen=True, eq=False)
class Kept:
    """The tensors that are kept of a network, by name, on the CPU, and the seconds they took."""

    tensors: dict[str, Tensor]
    seconds: float


def load(path: Path) -> Kept | None:
    """Return what a file of the cache holds; None, and a warning, if it is damaged; None if there
    is no such file."""
    if not path.is_file():
        return None
    try:
        with open_tensors(path) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return Kept(tensors, float((file.metadata() or {}).get("seconds", 0)))
    except SafetensorError as error:
        warnings.warn(f"{path} is damaged ({error}): it is made again", stacklevel=2)
        return None


def keep(path: Path, kept: Kept, settings: Mapping[str, Any]) -> None:
    """Write a file of the cache; a reader sees all of it or none. settings: what decides it."""
    info = {"recipe": json.dumps(settings, sort_keys=True), "seconds": repr(kept.seconds)}
    with atomic_write(path) as unfinished:
        save_file(kept.tensors, unfinished, metadata=info)
