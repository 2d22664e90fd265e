"""The answers of one network on everything: what all metrics, attacks and ensembles go by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sgu.inference import predict
from sgu.metrics.scored import REPORTED, Scored
from sgu.replacing import replacing
from sgu.world import FROM_TRAIN, World


@dataclass(frozen=True, eq=False)
class Logits:
    """Of all examples, in evaluation mode, float32 on the CPU: train (N, C), heldout (M, C).

    seconds: of the training, and the unlearning where there was one; cached: whether it was found
    rather than trained.
    """

    train: Tensor
    heldout: Tensor
    seconds: float = 0.0
    cached: bool = False

    @classmethod
    def of(cls, model: nn.Module, world: World, seconds: float = 0.0) -> Logits:
        parts = (world.source.train, world.source.heldout)
        train, heldout = (predict(model, part, world.pipeline).cpu() for part in parts)
        return cls(train, heldout, seconds)

    @classmethod
    def load(cls, path: Path, cached: bool) -> Logits:
        with safe_open(path, framework="pt") as file:
            seconds = float(file.metadata()["seconds"])
            return cls(file.get_tensor("train"), file.get_tensor("heldout"), seconds, cached)

    def save(self, path: Path, settings: dict[str, Any]) -> None:
        info = {"member": json.dumps(settings, sort_keys=True), "seconds": repr(self.seconds)}
        tensors = {"train": self.train.contiguous(), "heldout": self.heldout.contiguous()}
        with replacing(path) as unfinished:
            save_file(tensors, unfinished, metadata=info)

    def scored(self, world: World, splits: Sequence[str] = REPORTED) -> dict[str, Scored]:
        """As `score_world` of the network itself: what all metrics and attacks start from."""
        found = {}
        for split in splits:
            (examples, rows), logits = world.part(split), self._part(split)
            found[split] = Scored.of(logits[rows], examples.targets.cpu()[rows])
        return found

    def _part(self, split: str) -> Tensor:
        return self.train if split in FROM_TRAIN else self.heldout
