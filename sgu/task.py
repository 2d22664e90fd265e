"""An unlearning task: the data, the examples to forget, and how inputs are prepared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import torch
from torch import Tensor

from sgu.data.datasets import Data, source_of
from sgu.data.examples import Examples
from sgu.data.pipeline import Pipeline
from sgu.data.sources import Source, load_source
from sgu.data.splits.forget_file import forget_from_file
from sgu.data.splits.scenarios import Memorisation, Scenario
from sgu.data.splits.splits import PARTS, Indices, Splits, stated_splits

FROM_TRAIN = ("retain", "forget")


@dataclass(frozen=True, eq=False)
class Task:
    """A source, its splits, and the pipeline (statistics of all training images)."""

    source: Source
    splits: Splits
    pipeline: Pipeline

    @overload
    @classmethod
    def of(cls, train: Source, heldout: Splits) -> Task: ...

    @overload
    @classmethod
    def of(
        cls,
        train: Data,
        heldout: Data,
        *,
        forget: Indices,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        seed: int = 0,
    ) -> Task: ...

    @classmethod
    def of(
        cls,
        train: Any,
        heldout: Any,
        *,
        forget: Indices | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        seed: int = 0,
    ) -> Task:
        """Return the task of forgetting some examples of one's own data.

        train, heldout: map-style Datasets of (input, label), or pairs of tensors (N, ...), (N,),
        of one form; the network sees what they yield, see `sgu.data.datasets`. Nobody was trained
        on heldout: it is split, class by class, into what the game plays with (audit), what may
        select (val) and what judges (test). Where they are a source and its splits, both are taken
        as they are.
        forget: indices into train (n,), or a mask (N,). mean, std: per channel of 0..1, for uint8
        and PIL images; None leaves 0..1. seed: of the split. Warns of held-out inputs that are in
        train, too.
        Raises DataError for data, and ValueError for indices, that cannot be used.
        """
        if isinstance(train, Source):
            return cls(train, heldout, Pipeline.of(train.train.inputs))
        if forget is None:
            raise ValueError("forget is not given: name the train examples to forget, by index")
        source = source_of(train, heldout)
        pipeline = Pipeline.stated(source.train.inputs, mean, std)
        return cls(source, stated_splits(source, forget, seed), pipeline)

    @classmethod
    def load(
        cls,
        data: str | Source,
        *,
        subset: int | None = None,
        classes: int | None = None,
        holdout: float | None = None,
        skip_corrupt: bool = False,
        audit: int | None = None,
        halved: bool = False,
        seed: int = 0,
        memorisation: Memorisation | None = None,
        forget: str | None = None,
        **forgetting: Any,
    ) -> Task:
        """Return the task on a source, which is a pure function of the arguments.

        data: a source, its name or its folder; subset, classes, holdout, skip_corrupt: see
        `load_source`; halved: see `Splits`; audit: the number of held-out examples for the game;
        forget: a file that says who is forgotten, in place of forgetting: settings of a Scenario,
        such as forget_fraction (default: a random tenth).
        """
        scenario = Scenario(**forgetting)
        source = (
            data
            if isinstance(data, Source)
            else load_source(data, subset, classes, holdout=holdout, skip_corrupt=skip_corrupt)
        )
        if forget:
            splits = forget_from_file(Path(forget), source, seed)
        else:
            splits = scenario.splits(source, seed, memorisation)
        if halved:
            splits = splits.halved(source.heldout.targets, seed)
        if audit is not None:
            splits = splits.audited(audit, source.heldout.targets, seed)
        return cls.of(source, splits)

    def __repr__(self) -> str:
        sizes = (f"{len(getattr(self.splits, name)):,} {name}" for name in PARTS)
        return f"Task({self.source.name}: {', '.join(sizes)})"

    def part(self, split: str) -> tuple[Examples, Tensor]:
        """Return the examples that a split lies in, train or held-out, and its indices (n,)."""
        part = self.source.train if split in FROM_TRAIN else self.source.heldout
        return part, getattr(self.splits, split)

    def to(self, device: torch.device) -> Task:
        source = self.source
        moved = replace(source, train=source.train.to(device), heldout=source.heldout.to(device))
        return replace(self, source=moved, pipeline=self.pipeline.to(device))

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
