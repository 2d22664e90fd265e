"""The Stackelberg game: the auditor's best response inside the unlearner's step.

The unlearner minimises  L(theta_u) = CE(retain; theta_u) + alpha U(theta_u).  In each round

    1. the network scores forget (members) and audit (non-members) examples, in equal numbers,
    2. one auditor a class and fold is fitted on a stratified part of them (its best response),
    3. U = - mean hinge(m_j) over the part that is held out, m_j = y_j (w.x_j - b),
    4. dU/dscores (direct term and implicit term, see `auditor.linear`) goes through the network in
       one backward pass and is added, times alpha, to the parameters' gradients.

Source: "Adversarial Machine Unlearning", arXiv 2406.07687, sections 3-4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from types import SimpleNamespace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sgu.auditor import Auditor, LinearAuditor
from sgu.auditor.folds import Folds, cross_fits, shuffle_splits
from sgu.checks import FRACTION, NOT_NEGATIVE, POSITIVE, at_least, check, one_of, optional
from sgu.host.devices import precision, to_device
from sgu.task import Task
from sgu.training.clock import Clock
from sgu.training.inference import batch_statistics, device_of, evaluating, predict
from sgu.training.snapshots import State

View = Literal["logits+loss", "loss", "calibrated"]


@dataclass(frozen=True, kw_only=True)
class Game:
    """The rules. With alpha = 0 no game is played.

    solve_every: optimiser steps between rounds, or "epoch"; update: "joint" adds alpha dU to the
    gradient of the current step, "alternate" (the authors' way) takes a separate step after every
    epoch, on the mean over all audit batches. lr: of plain SGD for those steps; None (the authors'
    way): the optimiser of the training takes them, with its rate, momentum and weight decay.
    repeats: 0 judges in `folds` shuffle splits, as published: `heldout_share` of the examples each,
    some twice and many never. Else examples are parted into `folds`, so many times, and each is
    judged once a time, by an auditor fitted on the other folds.
    view: the auditor sees the logits and the loss (d = C + 1); the loss alone (d = 1); or, where a
    network that never saw forget is at hand, "calibrated": logits, loss, margin and the margin of
    that reference (d = C + 3), which tells examples that are hard from examples that are forgotten.
    statistics: batch-norm scores by those of the batch, by those of each side of it ("separate",
    the authors' way) or by the running ones (what an attacker sees); none writes a buffer.
    audit_batch: the most examples of both sides in one round, which
    bounds its memory; None takes all of forget, or as many as audit has counterparts for.
    warm_start: start each auditor from the round before. It is off, since each round draws other
    folds and the linear auditor took 17 iterations instead of 13 (embedded data, alpha 1, reg .1).
    """

    alpha: float = 1.0
    auditor: Auditor = field(default_factory=LinearAuditor)
    solve_every: int | Literal["epoch"] = 8
    update: Literal["joint", "alternate"] = "joint"
    folds: int = 3
    repeats: int = 0
    heldout_share: float = 0.3
    view: View = "logits+loss"
    statistics: Literal["batch", "separate", "running"] = "batch"
    audit_batch: int | None = None
    warm_start: bool = False
    lr: float | None = None

    def __post_init__(self) -> None:
        check(
            self,
            alpha=NOT_NEGATIVE,
            solve_every=(
                lambda steps: steps == "epoch" or (isinstance(steps, int) and steps >= 1),
                '>= 1 or "epoch"',
            ),
            update=one_of(("joint", "alternate")),
            folds=at_least(1),
            repeats=NOT_NEGATIVE,
            heldout_share=FRACTION,
            view=one_of(get_args(View)),
            statistics=one_of(("batch", "separate", "running")),
            audit_batch=optional(4),
            lr=(lambda lr: lr is None or POSITIVE[0](lr), "> 0, or none"),
        )
        if self.repeats and self.folds < 2:
            raise ValueError(f"folds = {self.folds}: must be >= 2 to judge by the other folds")

    @property
    def by_the_epoch(self) -> bool:
        """Return True if the game is played once an epoch rather than every so many steps."""
        return self.update == "alternate" or self.solve_every == "epoch"

    def due(self, step: int, last: bool) -> bool:
        """Return True if a joint round belongs to a step; `last`: it is its epoch's last."""
        if isinstance(self.solve_every, int):
            return self.update == "joint" and step % self.solve_every == 0
        return self.update == "joint" and last


@dataclass(frozen=True, eq=False)
class Round:
    """The auditor's utility in one round, and the number of its problems that went unsolved."""

    utility: Tensor
    unsolved: Tensor


class Match:
    """A game over one unlearning run.

    It has one auditor for each class with two or more examples in forget: one alone cannot be both
    fitted and judged. Rounds go through forget in shuffled batches, with as many audit examples.
    reference: a network that never saw forget, for the view "calibrated".
    """

    def __init__(
        self,
        game: Game,
        task: Task,
        seed: int,
        clock: Clock,
        reference: nn.Module | None = None,
    ):
        self.game, self.pipeline, self.clock = game, task.pipeline, clock
        self.sides = [task.part("forget"), task.part("audit")]
        self.groups = _groups(*(examples.labels[split] for examples, split in self.sides))
        smaller = torch.tensor([min(map(len, group)) for group in self.groups])
        most = _most(game.audit_batch, len(smaller))
        self.counts = smaller if most is None else smaller.clamp(max=most)
        self.batches = -(-int(smaller.max()) // int(self.counts.max()))
        self.generator = torch.Generator().manual_seed(seed)
        self.turn, self.shuffled = 0, list[list[Tensor]]()
        self.last: Any = None  # the fit of the round before: a warm start
        self.calibration = self._calibration(reference) if game.view == "calibrated" else None

    def play(self, model: nn.Module, share: float = 1.0) -> Round:
        """Play one round: add share alpha dU/dtheta_u to the gradients of the model's weights."""
        with self.clock.part("game"):
            with self.clock.part("audit"):
                scores = self._scores(model)
            leaves = scores.detach().requires_grad_()
            with self.clock.part("solve"):
                utility, unsolved = self._answer(leaves)
                (gradient,) = torch.autograd.grad(utility, leaves)
            with self.clock.part("audit"):
                scores.backward(share * self.game.alpha * gradient)
        self.clock.saw(len(scores))
        return Round(utility.detach(), unsolved)

    def state(self) -> State:
        fit = vars(self.last) if self.game.warm_start and self.last else {}
        return {
            "generator": self.generator.get_state(),
            "turn": self.turn,
            "shuffled": self.shuffled,
            "last": {name: value for name, value in fit.items() if isinstance(value, Tensor)},
        }

    def restore(self, state: State) -> None:
        self.generator.set_state(state["generator"])
        self.turn, self.shuffled = state["turn"], state["shuffled"]
        self.last = SimpleNamespace(**state["last"]) if state["last"] else None

    def _draw(self) -> list[Tensor]:
        """Return this round's indices into forget and into audit, equally many, group by group."""
        batch = self.turn % self.batches
        if batch == 0:
            self.shuffled = [
                [side[torch.randperm(len(side), generator=self.generator)] for side in group]
                for group in self.groups
            ]
        self.turn += 1
        drawn = [
            [side.roll(-batch * count)[:count] for side in group]
            for group, count in zip(self.shuffled, self.counts.tolist(), strict=True)
        ]
        return [torch.cat(side) for side in zip(*drawn, strict=True)]

    def _scores(self, model: nn.Module) -> Tensor:
        """Return scores of forget, then of audit examples: float32 (2 k, d), with their graph."""
        device = device_of(model)
        self.sides = [(examples.to(device), split) for examples, split in self.sides]  # moves once
        self.pipeline = self.pipeline.to(device)
        drawn = self._draw()
        parts = [
            examples.at(split[indices], device)
            for (examples, split), indices in zip(self.sides, drawn, strict=True)
        ]
        inputs, targets = zip(*parts, strict=True)
        passes = inputs if self.game.statistics == "separate" else [torch.cat(inputs)]
        scoring = evaluating if self.game.statistics == "running" else batch_statistics
        with scoring(model), precision(device):
            logits = torch.cat([model(self.pipeline.prepare(part)).float() for part in passes])
        both = torch.cat(targets)
        loss = F.cross_entropy(logits, both, reduction="none")[:, None]
        if self.game.view == "loss":
            return loss
        if self.calibration is None:
            return torch.cat([logits, loss], 1)
        known = [side[indices] for side, indices in zip(self.calibration, drawn, strict=True)]
        pair = torch.stack([margins(logits, both), to_device(torch.cat(known), device)], 1)
        return torch.cat([logits, loss, pair], 1)

    def _calibration(self, reference: nn.Module | None) -> list[Tensor]:
        """Return the reference's margins of forget and of audit, on the CPU."""
        if reference is None:
            raise ValueError(
                'view = "calibrated": the method has no reference; use "logits+loss", or a method '
                "that trains one, such as sg+reference_distill"
            )
        with self.clock.part("reference"):
            return [
                margins(
                    predict(reference, examples, self.pipeline, split).cpu(),
                    examples.labels[split],
                )
                for examples, split in self.sides
            ]

    def _start(self, device: torch.device) -> Any:
        """Return the tensors of the last fit, which a snapshot gave back on the CPU."""
        tensors = {n: value for n, value in vars(self.last).items() if isinstance(value, Tensor)}
        return SimpleNamespace(**{n: to_device(value, device) for n, value in tensors.items()})

    def _folds(self) -> Folds:
        """Return what each auditor of this round is fitted on, and what it judges."""
        game = self.game
        if game.repeats:
            return cross_fits(self.counts, game.folds, game.repeats, self.generator)
        return shuffle_splits(self.counts, game.folds, game.heldout_share, self.generator)

    def _answer(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return the utility of the best response, and how many problems went unsolved."""
        drawn = self._folds()
        folds = Folds(*(to_device(getattr(drawn, f.name), scores.device) for f in fields(drawn)))
        half = len(scores) // 2
        start = self._start(scores.device) if self.game.warm_start and self.last else None
        self.last = fit = self.game.auditor.fit(
            scores[folds.fitted], folds.fitted < half, weight=folds.fitted_used, start=start
        )
        y = torch.where(folds.judged < half, 1.0, -1.0)
        hinge = (1 - y * fit.decision(scores[folds.judged])).clamp(min=0)
        counts = folds.judged_used & fit.converged[:, None]
        utility = -torch.where(counts, hinge, 0).sum() / counts.sum().clamp(min=1)
        return utility, (~fit.converged).sum()


def margins(logits: Tensor, targets: Tensor) -> Tensor:
    """Return margins log(p_y / (1 - p_y)) in nats, (n,), from logits (n, C) and targets (n,)."""
    own = targets[:, None]
    others = logits.scatter(1, own, -torch.inf).logsumexp(1)
    return logits.gather(1, own).squeeze(1) - others


def _groups(forget: Tensor, audit: Tensor) -> list[list[Tensor]]:
    """Return the indices into forget and into audit of each auditor, from both targets (n,)."""
    sides = (forget, audit)
    groups = [[torch.where(side == label)[0] for side in sides] for label in forget.unique()]
    if not all(len(heldout) for _, heldout in groups):
        raise ValueError("a class of forget has no audit examples: give audit a larger share")
    groups = [group for group in groups if len(group[0]) > 1]
    if not groups:
        raise ValueError("forget has no two examples of one class: the game needs more to forget")
    return groups


def _most(audit_batch: int | None, auditors: int) -> int | None:
    """Return the most examples a side for each auditor; None: no bound."""
    if audit_batch is None:
        return None
    if audit_batch < 4 * auditors:
        raise ValueError(
            f"audit_batch = {audit_batch}: must be >= {4 * auditors}, "
            f"two examples a side for each of {auditors} auditors"
        )
    return audit_batch // (2 * auditors)


EpochReport = Callable[[int, float, list[Round]], None]


class Board:
    """The part of a training run that plays the game at the right steps and keeps the rounds.

    match: None plays nothing; adjust: called in each step once all gradients are there; report:
    called after each epoch with its number, its mean loss and its rounds; epoch_steps: gets the
    number of steps of each epoch.
    """

    def __init__(
        self,
        model: nn.Module,
        match: Match | None,
        adjust: Callable[[], None],
        report: EpochReport,
        epoch_steps: list[int],
    ):
        self.model, self.match, self.adjust, self.report = model, match, adjust, report
        self.rounds, self.steps, self.epoch_steps = list[Round](), 0, epoch_steps
        lr = match.game.lr if match else None
        self.apart = torch.optim.SGD(model.parameters(), lr=lr) if lr else None

    def on_step(self, step: int, last: bool) -> None:
        self.steps += 1
        if self.match and self.match.game.due(step, last):
            self.rounds.append(self.match.play(self.model))
        self.adjust()

    def after_steps(self, optimiser: torch.optim.Optimizer) -> None:
        """Take the separate step of an epoch, if there is one, on the mean over audit batches."""
        if self.match and self.match.game.update == "alternate":
            optimiser, batches = self.apart or optimiser, self.match.batches
            optimiser.zero_grad()
            self.rounds += [self.match.play(self.model, 1 / batches) for _ in range(batches)]
            self.adjust()
            optimiser.step()

    def on_epoch(self, epoch: int, loss: float) -> None:
        self.epoch_steps.append(self.steps)
        self.report(epoch, loss, self.rounds)
        self.rounds, self.steps = [], 0

    def state(self) -> State:
        match = self.match.state() if self.match else None
        return {"epoch_steps": self.epoch_steps, "match": match}

    def restore(self, state: State) -> None:
        self.epoch_steps[:] = state["epoch_steps"]
        if self.match:
            self.match.restore(state["match"])
