"""Training and prediction, with the whole data set on the model's device as uint8.

On CUDA the forward pass runs in bfloat16; on the CPU all is float32, so that one seed and one
thread count give the same bits.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from sgu.checks import check
from sgu.data.examples import Examples
from sgu.data.pipeline import Pipeline
from sgu.training.inference import device_of, precision, restoring_modes
from sgu.training.snapshots import Snapshots, State


class Diverged(RuntimeError):
    """The training loss is no longer finite."""


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """How weights are updated. lr: the schedule's highest; momentum: Nesterov's, of sgd alone.

    epochs = 0 trains nothing. compile: by torch.compile, which needs a C++ compiler on the CPU.
    """

    epochs: int
    lr: float
    optimiser: Literal["sgd", "adamw"] = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 128
    schedule: str = "cosine"
    augment: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        check(
            self,
            epochs=(self.epochs >= 0, ">= 0"),
            lr=(0 < self.lr < math.inf, "> 0"),
            optimiser=(self.optimiser in ("sgd", "adamw"), "sgd or adamw"),
            momentum=(0 <= self.momentum < 1, "at least 0 and below 1"),
            weight_decay=(0 <= self.weight_decay < math.inf, ">= 0"),
            batch_size=(self.batch_size >= 2, ">= 2"),
            schedule=(self.schedule in SCHEDULES, f"one of {', '.join(SCHEDULES)}"),
        )


def _one_cycle(progress: float, peak: float = 0.25) -> float:
    return min(progress / peak, (1 - progress) / (1 - peak))


# progress through training, 0..1 -> share of the highest learning rate
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
    "one_cycle": _one_cycle,
}


def batches(rows: Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Parts (<= batch_size,) of rows (n,), in random order.

    A last batch of one is left out: batch-norm cannot normalise it.
    """
    order = torch.randperm(len(rows), generator=generator).to(rows.device)
    for batch in rows[order].split(batch_size):
        if len(batch) > 1:
            yield batch


def steps_of(rows: int, batch_size: int) -> int:
    """How many `batches` of so many rows there are."""
    return rows // batch_size + (rows % batch_size > 1)


@dataclass(frozen=True, eq=False)
class Batch:
    """A step's rows (n,) into the examples, their prepared inputs (n, ...) and targets (n,)."""

    rows: Tensor
    inputs: Tensor
    targets: Tensor


Objective = Callable[[nn.Module, Batch], Tensor]  # a scalar to be minimised


def classification(model: nn.Module, batch: Batch) -> Tensor:
    """Mean cross-entropy."""
    return F.cross_entropy(model(batch.inputs), batch.targets)


@dataclass(frozen=True, eq=False)
class Pass:
    """One pass, in random order, over rows (n,) of the examples, minimising an objective."""

    rows: Tensor
    objective: Objective = classification


Plan = Callable[[int], Sequence[Pass]]  # the passes of an epoch, counted from 0


def make_optimiser(
    model: nn.Module, optimisation: Optimisation, steps: int
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """The optimiser and its schedule over `steps` updates; step the schedule after each."""
    shared: dict[str, Any] = {
        "lr": optimisation.lr,
        "weight_decay": optimisation.weight_decay,
        "fused": device_of(model).type in ("cpu", "cuda"),
    }
    momentum = optimisation.momentum
    optimiser: torch.optim.Optimizer = (
        torch.optim.AdamW(model.parameters(), **shared)
        if optimisation.optimiser == "adamw"
        else torch.optim.SGD(model.parameters(), momentum=momentum, nesterov=momentum > 0, **shared)
    )
    share = SCHEDULES[optimisation.schedule]
    return optimiser, LambdaLR(optimiser, lambda step: share(min((step + 0.5) / steps, 1.0)))


def train(
    model: nn.Module,
    examples: Examples,
    plan: Tensor | Plan,
    pipeline: Pipeline,
    optimisation: Optimisation,
    seed: int,
    on_epoch: Callable[[int, float], None] | None = None,
    adjust: Callable[[int, bool], None] | None = None,
    snapshots: Snapshots | None = None,
) -> None:
    """Train `model` in place.

    plan: rows (n,) of the examples to classify, or the passes of each epoch.
    seed: of the order and the augmentation; on the CPU the same seed gives the same bits.
    on_epoch: called with the epoch, from 0, and its mean loss over the batches.
    adjust: called with the step, from 1, and whether it is its epoch's last, once the gradients
        are there and before they are used.
    snapshots: kept after each epoch; training goes on from the one that was found.
    Raises Diverged where an epoch's loss is not finite.
    """
    passes = (lambda _: [Pass(plan)]) if isinstance(plan, Tensor) else plan
    epochs, size = [passes(epoch) for epoch in range(optimisation.epochs)], optimisation.batch_size
    lengths = [sum(steps_of(len(part.rows), size) for part in parts) for parts in epochs]
    if 0 in lengths:
        raise ValueError("an epoch of training has < 2 examples: choose more of them")
    device = device_of(model)
    examples = examples.to(device)
    generator = torch.Generator().manual_seed(seed)
    augmentation = generator if optimisation.augment else None
    optimiser, schedule = make_optimiser(model, optimisation, max(sum(lengths), 1))
    snapshots, progress = snapshots or Snapshots(), _Progress(model, optimiser, schedule, generator)
    snapshots.add("training", progress)
    network: Any = torch.compile(model) if optimisation.compile else model

    def loss_of(rows: Tensor, objective: Objective) -> Tensor:
        inputs, targets = examples.at(rows, device)
        with precision(device):
            return objective(network, Batch(rows, pipeline.prepare(inputs, augmentation), targets))

    with restoring_modes(model):
        model.train()
        for epoch in range(progress.epochs, len(epochs)):
            parts, length = epochs[epoch], lengths[epoch]
            total, first = torch.zeros((), device=device), sum(lengths[:epoch])
            for step, (rows, objective) in enumerate(_batches_of(parts, size, generator), 1):
                loss = loss_of(rows, objective)
                optimiser.zero_grad()
                loss.backward()
                if adjust:
                    adjust(first + step, step == length)
                optimiser.step()
                schedule.step()
                total += loss.detach()
            mean_loss = float(total) / length
            if not math.isfinite(mean_loss):
                raise Diverged(
                    f"loss is {mean_loss} in epoch {epoch}: lower lr (now {optimisation.lr})"
                )
            if on_epoch:
                on_epoch(epoch, mean_loss)
            progress.epochs += 1
            snapshots.save()


@dataclass(eq=False)
class _Progress:
    """All that training changes, and the epochs that are over."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: LambdaLR
    generator: torch.Generator
    epochs: int = 0

    def state(self) -> State:
        return {
            "epochs": self.epochs,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": self.generator.get_state(),
        }

    def restore(self, state: State) -> None:
        self.epochs = state["epochs"]
        self.model.load_state_dict(state["model"])
        weights, kept = list(self.model.parameters()), state["optimiser"]
        kept["state"] = {
            int(k): {name: _laid_out(value, weights[int(k)]) for name, value in values.items()}
            for k, values in kept["state"].items()
        }
        self.optimiser.load_state_dict(kept)
        self.schedule.load_state_dict(state["schedule"])
        self.generator.set_state(state["generator"])


def _laid_out(value: Tensor, weights: Tensor) -> Tensor:
    """In memory as its weights are: fused optimisers go through both as they lie."""
    return torch.empty_like(weights).copy_(value) if value.shape == weights.shape else value


def _batches_of(
    passes: Sequence[Pass], batch_size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Objective]]:
    for part in passes:
        for rows in batches(part.rows, batch_size, generator):
            yield rows, part.objective
