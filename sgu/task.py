"""An unlearning task: the data, the examples to forget, and how inputs are prepared."""

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
        halved: bool = False,
        seed: int = 0,
        memorisation: Memorisation | None = None,
        **forgetting: Any,
    ) -> Task:
        """Return the task on a source, which is a pure function of the arguments.

        data: a source, its name or its folder; subset, classes: see `load_source`; halved: see
        `Splits`; audit: the number of held-out examples for the game; forgetting: settings of a
        Scenario, such as forget_fraction (default: a random tenth).
        """
        scenario = Scenario(**forgetting)
        source = data if isinstance(data, Source) else load_source(data, subset, classes)
        splits = scenario.splits(source, seed, memorisation)
        if halved:
            splits = splits.halved(source.heldout.targets, seed)
        if audit is not None:
            splits = splits.audited(audit, source.heldout.targets, seed)
        return cls.of(source, splits)

    def part(self, split: str) -> tuple[Examples, Tensor]:
        """Return the examples that a split lies in, train or held-out, and its indices (n,)."""
        part = self.source.train if split in FROM_TRAIN else self.source.heldout
        return part, getattr(self.splits, split)

    def to(self, device: torch.device) -> Task:
        source = self.source
        moved = replace(source, train=source.train.to(device), heldout=source.heldout.to(device))
        return replace(self, source=moved)

    def requests(self) -> list[Request]:
        """Return the requests in order; examples of later ones are retained until then."""
        if len(self.splits.requests) == 1:
            return [Request(self, self)]
        steps = self.splits.steps()
        return [Request(*(replace(self, splits=splits) for splits in step)) for step in steps]


@dataclass(frozen=True, eq=False)
class Request:
    """One request to forget, `task`, and `so_far`: all that is forgotten once it is met."""

    task: Task
    so_far: Task
