"""What an unlearning run is about: the data, who is forgotten, and how images are prepared."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sgu.data.sources import Examples, Source, load_source
from sgu.data.splits import Splits, random_splits
from sgu.training import Pipeline

FROM_TRAIN = ("retain", "forget")


@dataclass(frozen=True, eq=False)
class World:
    """A source, its splits, and the pipeline (statistics of all training images)."""

    source: Source
    splits: Splits
    pipeline: Pipeline

    @classmethod
    def of(cls, source: Source, splits: Splits) -> World:
        return cls(source, splits, Pipeline.of(source.train.inputs))

    @classmethod
    def load(
        cls, data: str, *, subset: int | None = None, forget_fraction: float = 0.1, seed: int = 0
    ) -> World:
        """Random forgetting on a named source or folder; a pure function of its arguments."""
        source = load_source(data, subset)
        return cls.of(source, random_splits(source, fraction=forget_fraction, seed=seed))

    def examples(self, split: str) -> Examples:
        """The images of a split, on the source's device."""
        part = self.source.train if split in FROM_TRAIN else self.source.heldout
        return part.take(getattr(self.splits, split).to(part.targets.device))

    def to(self, device: torch.device) -> World:
        source = self.source
        moved = Source(
            source.name,
            source.train.to(device),
            source.heldout.to(device),
            source.classes,
            source.fingerprint,
        )
        return World(moved, self.splits, self.pipeline)
