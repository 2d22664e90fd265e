"""Methods and their settings, and the run that they work on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sgu.checks import Bounds, check
from sgu.game import Board, EpochReport, Game, Match
from sgu.task import Task
from sgu.training.clock import Clock
from sgu.training.inference import device_of
from sgu.training.loop import Optimisation, Pass, Plan, train
from sgu.training.snapshots import Snapshots

Space = Mapping[str, Any]


class Method(Optimisation):
    """An unlearning method: a frozen dataclass whose fields are its settings.

    They are those of its optimisation and further ones, each with its published default. Every
    method can carry the game: `Run.train` adds the auditor's gradient where a game is played.
    source: the publication; has_reference: True if it trains one and hands it to the game (see
    `methods.reference`); space: the settings that a search may vary, as in a study's
    specification ({"low", "high", "log"} or a list); bounds: of its further settings; least_steps:
    the steps that a pass over all of train takes at least, see `batch_of`.
    """

    source: ClassVar[str]
    has_reference: ClassVar[bool] = False
    space: ClassVar[Space]
    bounds: ClassVar[Bounds] = {}
    least_steps = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, **self.bounds)

    def unlearn(self, run: Run) -> None:
        """Make run.model forget, in place."""
        raise NotImplementedError

    def batch_of(self, train: int) -> int:
        """Return the size of a batch of so many train examples: `batch_size`, or less where
        `least_steps` needs it, but 16 at least.

        What settings found on much data do takes steps, of which a small set has few in an epoch:
        as many steps of smaller batches see as many examples. Batch-norm needs the 16.
        """
        return min(self.batch_size, max(train // self.least_steps, 16))


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One unlearning run: `model` is a copy of `original`, to be changed in place.

    architecture: the name of their model, see `models.build`; None for a network of one's own.
    on_epoch is called after each epoch with its number from 0, its mean training loss and the
    rounds of the game played in it. epoch_steps: the steps of each epoch trained so far.
    snapshots: hold the parts that training changes; all else is done again when a run goes on.
    """

    model: nn.Module
    original: nn.Module
    architecture: str | None
    task: Task
    game: Game | None
    seed: int
    clock: Clock
    on_epoch: EpochReport
    epoch_steps: list[int] = field(default_factory=list)
    snapshots: Snapshots = field(default_factory=Snapshots)

    @property
    def device(self) -> torch.device:
        return device_of(self.model)

    @property
    def retain(self) -> Tensor:
        """Return the indices into train of the examples to keep, int64 (n,)."""
        return self.task.splits.retain

    @property
    def forget(self) -> Tensor:
        """Return the indices into train of the examples to forget, int64 (n,)."""
        return self.task.splits.forget

    def generator(self) -> torch.Generator:
        """Return a generator for the method, on the CPU, apart from the one of training."""
        return torch.Generator().manual_seed(self.seed + 2**32)

    def train(
        self,
        optimisation: Optimisation,
        plan: Plan | None = None,
        adjust: Callable[[], None] | None = None,
        reference: nn.Module | None = None,
    ) -> None:
        """Go on training the model on train, with the game where one is played.

        plan: the passes of each epoch; without one, a pass over retain by cross-entropy.
        adjust: called in each step when all gradients are there, including those of the game.
        reference: a network that never saw forget, for an auditor whose view is "calibrated".
        """
        game, match = self.game, None
        if game and game.alpha > 0:
            match = Match(game, self.task, self.seed, self.clock, reference)
        board = Board(self.model, match, adjust or (lambda: None), self.on_epoch, self.epoch_steps)
        self.snapshots.add("clock", self.clock)
        self.snapshots.add("board", board)
        passes = plan or (lambda _: [Pass(self.retain)])
        train(
            self.model,
            self.task.source.train,
            lambda epoch: [self.counted(part) for part in passes(epoch)],
            self.task.pipeline,
            optimisation,
            self.seed,
            on_epoch=board.on_epoch,
            adjust=board.on_step,
            after_steps=board.after_steps,
            snapshots=self.snapshots,
        )

    def counted(self, part: Pass) -> Pass:
        """Return the pass, its examples counted by the clock."""
        return replace(part, saw=self.clock.saw)
