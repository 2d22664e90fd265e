"""What an unlearning run is about: the data, who is forgotten, and how images are prepared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sgu.data.examples import Examples
from sgu.data.pipeline import Pipeline
from sgu.data.sources import Source, load_source
from sgu.data.splits.scenarios import Memorisation, Scenario
from sgu.data.splits.splits import Splits

FROM_TRAIN = ("retain", "forget")


@dataclass(frozen=True, eq=False)
class Task:
    """A source, its splits, and the pipeline (statistics of all training images)."""

    source: Source
    splits: Splits
    pipeline: Pipeline

    @classmethod
    def of(cls, source: Source, splits: Splits) -> Task:
        return cls(source, splits, Pipeline.of(source.train.inputs))

    @classmethod
    def load(
        cls,
        data: str | Source,
        *,
        subset: int | None = None,
        classes: int | None = None,
        audit: int | None = None,
        seed: int = 0,
        memorisation: Memorisation | None = None,
        **asked: Any,
    ) -> Task:
        """A source, by its name or folder or as it is, and who is forgotten; a pure function of
        its arguments.

        subset, classes: see `load_source`; audit: how many examples are left to the game, of its
        split; asked: the settings of a Scenario, such as forget_fraction; without them a random
        tenth.
        """
        scenario = Scenario(**asked)
        source = data if isinstance(data, Source) else load_source(data, subset, classes)
        splits = scenario.splits(source, seed, memorisation)
        if audit is not None:
            splits = splits.audited(audit, source.heldout.targets, seed)
        return cls.of(source, splits)

    def part(self, split: str) -> tuple[Examples, Tensor]:
        """Where a split lies: the examples of train or held-out, and its rows (n,) in them."""
        part = self.source.train if split in FROM_TRAIN else self.source.heldout
        return part, getattr(self.splits, split)

    def examples(self, split: str) -> Examples:
        """A copy of a split's examples."""
        part, rows = self.part(split)
        return part.take(rows.to(part.targets.device))

    def to(self, device: torch.device) -> Task:
        source = self.source
        moved = replace(source, train=source.train.to(device), heldout=source.heldout.to(device))
        return replace(self, source=moved)

    def requests(self) -> list[Request]:
        """What is asked to be forgotten, one request after the other.

        Until a later request asks for them, its examples are retained.
        """
        if len(self.splits.requests) == 1:
            return [Request(self, self)]
        steps = self.splits.steps()
        return [Request(*(replace(self, splits=each) for each in step)) for step in steps]


@dataclass(frozen=True, eq=False)
class Request:
    """One request to forget, `task`, and all that is forgotten once it is met, `so_far`."""

    task: Task
    so_far: Task
