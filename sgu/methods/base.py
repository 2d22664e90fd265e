"""What every unlearning method is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from sgu.clock import Clock
from sgu.game import Game, Round
from sgu.training import Optimisation, train
from sgu.world import World


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """One unlearning run: `model` is a copy of the original, to be changed in place.

    on_epoch is called after each epoch with its number from 0, its mean retain loss and the
    rounds of the game played in it.
    """

    model: nn.Module
    world: World
    optimisation: Optimisation
    game: Game | None
    seed: int
    clock: Clock
    on_epoch: Callable[[int, float, list[Round]], None]

    def train(
        self, on_epoch: Callable[[int, float], None], adjust: Callable[[int], None] | None = None
    ) -> None:
        """Go on training the model on retain, as `sgu.training.train`."""
        train(
            self.model,
            self.world.source.train,
            self.world.splits.retain,
            self.world.pipeline,
            self.optimisation,
            self.seed,
            on_epoch=on_epoch,
            adjust=adjust,
        )


Method = Callable[[Run], None]
