"""Recipes: all that decides a trained network, and its name in the cache."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from sgu.data.splits.splits import Splits
from sgu.models import Preprocessing
from sgu.training.loop import Optimisation

Kind = Literal["original", "retrain", "start", "oracle", "shadow", "half"]
REFERENCES: tuple[Kind, Kind] = ("original", "retrain")
VERSION = 2  # raise when training or unlearning changes in a way that no setting shows


@dataclass(frozen=True, kw_only=True, eq=False)
class Recipe:
    """Everything that decides a trained network, on one machine.

    kind: the references `original` (trained on all of train) and `retrain` (on retain), whose
    weights are kept; `start` and `oracle`, the same with other seeds, and `shadow`, whose logits
    are kept; `half`, one of those that measure memorisation.
    seed: of the weights and batches, and of the unlearning.
    indices: what it is trained on, int64 (n,), into train followed by held-out.
    forgotten: digest of the splits that its indices follow from, for `retrain`.
    weights: the file of an original that was trained elsewhere, and fed: how it is to be fed.
    unlearning: the settings of the `Experiment` by which the trained network unlearns; splits: what
    it forgets, retain and forget indexed like `indices`. Without the two it stays as trained.
    """

    kind: Kind
    model: str
    seed: int
    data_fingerprint: str
    indices: Tensor
    optimisation: Optimisation
    forgotten: str = ""
    weights: Path | None = None
    fed: Preprocessing = field(default_factory=Preprocessing)
    unlearning: Mapping[str, Any] | None = None
    splits: Splits | None = None

    def __post_init__(self) -> None:
        if (self.unlearning is None) != (self.splits is None):
            raise ValueError("unlearning and splits go together: give both, or neither")
        if self.splits is None:
            return
        known = torch.cat([self.splits.retain, self.splits.forget]).sort().values
        if not torch.equal(known, self.indices.sort().values):
            raise ValueError("retain and forget are not what it is trained on: unlearn that alone")

    @property
    def settings(self) -> dict[str, Any]:
        """Return all that decides the network, as plain values."""
        names = ("kind", "model", "seed", "data_fingerprint")
        settings = {name: getattr(self, name) for name in names}
        settings |= {"optimisation": asdict(self.optimisation), "version": VERSION}
        indices = hashlib.sha256(self.indices.numpy().astype("<i8").tobytes()).hexdigest()
        reference = self.kind in REFERENCES
        settings |= {"forgotten": self.forgotten} if reference else {"indices": indices}
        if self.weights:
            content = hashlib.sha256(self.weights.read_bytes()).hexdigest()
            settings |= {"weights": content, "fed": self.fed.info()}
        if self.unlearning is not None and self.splits is not None:
            settings |= {"unlearning": dict(self.unlearning), "splits": self.splits.digest}
        return settings

    @property
    def training(self) -> Recipe:
        return replace(self, unlearning=None, splits=None)

    @property
    def digest(self) -> str:
        return digest(self.settings)

    @property
    def filename(self) -> str:
        unlearned = "" if self.unlearning is None else "-unlearned"
        model = re.sub(r"[/:]", "_", self.model)
        return f"{model}-{self.kind}{unlearned}-{self.digest}.safetensors"


def digest(settings: Mapping[str, Any]) -> str:
    """Return 16 hex digits of plain settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
