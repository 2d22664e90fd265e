"""`sgu.GameTerm`: the game as one term of a training loop of one's own."""

from __future__ import annotations

import warnings
import weakref
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from torch import Tensor, nn

from sgu.api.fitting import check_network, check_task, check_trainable
from sgu.experiment import Experiment
from sgu.game import Match
from sgu.task import Task
from sgu.training.clock import Clock
from sgu.training.inference import device_of
from sgu.unlearning import idle


@dataclass
class _Tally:
    """The steps and rounds of a term, which outlive it."""

    solve_every: int | str
    steps: int = 0
    rounds: int = 0
    ends: list[int] = field(default_factory=list)  # steps at the ends of epochs, as far as told

    def warn(self) -> None:
        """Warn if the term was called and played no round, or none in some epochs."""
        lengths = [self.steps] if self.steps else []
        if self.rounds:
            by_epoch = self.ends and isinstance(self.solve_every, int)
            lengths = [b - a for a, b in pairwise([0, *self.ends])] if by_epoch else []
        if lengths and (note := idle(self.solve_every, lengths)):
            warnings.warn(note, stacklevel=2)


class GameTerm:
    """The term alpha U of L = CE(retain) + alpha U, added to the gradients of a network.

        term = sgu.GameTerm(task, alpha=1.0, reg=0.1, solve_every=8)
        for inputs, targets in loader:  # batches of what may be remembered
            optimiser.zero_grad()
            criterion(model(inputs), targets).backward()
            term(model)
            optimiser.step()

    In every `solve_every`-th call it plays a round: the network scores forgotten and audit
    examples, an auditor answers with its best membership test, and alpha dU/dtheta is added to the
    gradients (`sgu.game`). All other calls do nothing. A term that was called and never played, or
    not in every epoch as far as `last=True` tells them, warns of it when it is no longer in use.

    alpha: weight of the game, > 0; reg: regularisation of the auditor, > 0; solve_every: calls from
    one round to the next, or "epoch": the calls with `last=True`; seed: of the rounds; settings:
    others of the game, such as folds, view or audit_batch, as `sgu.Experiment` has them.
    steps, rounds: the calls and the rounds so far; unsolved: auditor problems that sat out.
    Raises ValueError for settings out of their bounds.
    """

    def __init__(
        self,
        task: Task,
        alpha: float = 1.0,
        reg: float = 0.1,
        solve_every: int | Literal["epoch"] = 8,
        *,
        seed: int = 0,
        **settings: Any,
    ):
        check_task(task)
        experiment = Experiment.of(
            method="sg", alpha=alpha, reg=reg, solve_every=solve_every, seed=seed, **settings
        )
        game = experiment.game()
        if game is None or game.alpha == 0:
            raise ValueError("alpha = 0: no game is played: leave the term out")
        if game.update != "joint":
            raise ValueError(
                f"update = {game.update!r} takes steps of its own, which a term has none of: use "
                "joint, or sgu.unlearn"
            )
        self.task, self.game, self.seed = task, game, seed
        self._match: Match | None = None
        self._unsolved: list[Tensor] = []
        self._tally = _Tally(solve_every)
        weakref.finalize(self, self._tally.warn)

    def __call__(self, model: nn.Module, last: bool = False) -> Tensor | None:
        """Play a round if one is due, and return the auditor's utility, a scalar; else None.

        Call it once a step, when the step's own gradients are there. last: of its epoch.
        """
        self._tally.steps += 1
        if last:
            self._tally.ends.append(self._tally.steps)
        if not self.game.due(self._tally.steps, last):
            return None
        played = self._begun(model).play(model)
        self._tally.rounds += 1
        self._unsolved.append(played.unsolved)
        return played.utility

    @property
    def steps(self) -> int:
        return self._tally.steps

    @property
    def rounds(self) -> int:
        return self._tally.rounds

    @property
    def unsolved(self) -> int:
        return int(sum(int(count) for count in self._unsolved))

    def _begun(self, model: nn.Module) -> Match:
        if self._match is None:
            check_network(model, self.task)
            check_trainable(model)
            self._match = Match(self.game, self.task, self.seed, Clock(device_of(model)))
        return self._match

    def __repr__(self) -> str:
        game = self.game
        return (
            f"GameTerm(alpha={game.alpha}, solve_every={game.solve_every!r}: {self.rounds} rounds "
            f"in {self.steps} steps)"
        )
