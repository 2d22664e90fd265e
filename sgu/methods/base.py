"""What a method is, and what it is given: settings on one side, a run on the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sgu.clock import Clock
from sgu.game import Game, Match, Round
from sgu.inference import device_of
from sgu.snapshots import Snapshots, State
from sgu.training import Batch, Optimisation, Pass, Plan, train
from sgu.world import World

Space = Mapping[str, Any]


class Method(Optimisation):
    """An unlearning method: a frozen dataclass whose fields are its settings.

    The settings of its optimisation and its own, each with its published default. Every method
    can carry the game: what goes through `Run.train` gets the auditor's gradient where a game is
    played. source: where it was published; space: what a search may vary, as in a study's
    specification ({"low", "high", "log"} or a list).
    """

    source: ClassVar[str]
    space: ClassVar[Space]

    def unlearn(self, run: Run) -> None:
        """Make run.model forget, in place."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One unlearning run: `model` is a copy of `original`, to be changed in place.

    on_epoch is called after each epoch with its number from 0, its mean training loss and the
    rounds of the game played in it. epoch_steps: the steps of each epoch trained so far.
    snapshots: what changes while it trains is added there; the rest is done again when it goes on.
    """

    model: nn.Module
    original: nn.Module
    world: World
    game: Game | None
    seed: int
    clock: Clock
    on_epoch: Callable[[int, float, list[Round]], None]
    epoch_steps: list[int] = field(default_factory=list)
    snapshots: Snapshots = field(default_factory=Snapshots)

    @property
    def device(self) -> torch.device:
        return device_of(self.model)

    @property
    def retain(self) -> Tensor:
        """Rows of train to keep, int64 (n,)."""
        return self.world.splits.retain

    @property
    def forget(self) -> Tensor:
        """Rows of train to forget, int64 (n,)."""
        return self.world.splits.forget

    def generator(self) -> torch.Generator:
        """A generator of the method's own, on the CPU, apart from the training's."""
        return torch.Generator().manual_seed(self.seed + 2**32)

    def train(
        self,
        optimisation: Optimisation,
        plan: Plan | None = None,
        adjust: Callable[[], None] | None = None,
    ) -> None:
        """Go on training the model on train, with the game where one is played.

        plan: the passes of each epoch; without one, a pass over retain by cross-entropy.
        adjust: called in each step when all gradients are there, those of the game too.
        """
        board = Board(self, adjust or (lambda: None))
        self.snapshots.add("clock", self.clock)
        self.snapshots.add("board", board)
        passes = plan or (lambda _: [Pass(self.retain)])
        train(
            self.model,
            self.world.source.train,
            lambda epoch: [self._counted(part) for part in passes(epoch)],
            self.world.pipeline,
            optimisation,
            self.seed,
            on_epoch=board.on_epoch,
            adjust=board.on_step,
            snapshots=self.snapshots,
        )

    def _counted(self, part: Pass) -> Pass:
        def objective(model: nn.Module, batch: Batch) -> Tensor:
            self.clock.saw(len(batch.rows))
            return part.objective(model, batch)

        return Pass(part.rows, objective)


class Board:
    """When the game is played in a training run, and what its rounds found."""

    def __init__(self, run: Run, adjust: Callable[[], None]):
        self.run, self.adjust, self.rounds, self.steps = run, adjust, list[Round](), 0
        game, world = run.game, run.world
        self.match = None
        if game and game.alpha > 0:
            self.match = Match(
                game, world.source, world.splits, world.pipeline, run.seed, run.clock
            )
            self.apart = torch.optim.SGD(run.model.parameters(), lr=game.lr)

    def on_step(self, step: int, last: bool) -> None:
        self.steps += 1
        if self.match and self.match.game.due(step, last):
            self.rounds.append(self.match.play(self.run.model))
        self.adjust()

    def on_epoch(self, epoch: int, loss: float) -> None:
        if self.match and self.match.game.update == "alternate":
            self.apart.zero_grad()
            self.rounds += [self.match.play(self.run.model) for _ in range(self.match.batches)]
            self.adjust()
            self.apart.step()
        self.run.epoch_steps.append(self.steps)
        self.run.on_epoch(epoch, loss, self.rounds)
        self.rounds, self.steps = [], 0

    def state(self) -> State:
        match = self.match.state() if self.match else None
        return {"epoch_steps": self.run.epoch_steps, "match": match}

    def restore(self, state: State) -> None:
        self.run.epoch_steps[:] = state["epoch_steps"]
        if self.match:
            self.match.restore(state["match"])
