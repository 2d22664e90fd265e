"""Training, with the whole data set on the model's device as uint8.

On CUDA the forward pass runs in bfloat16; on the CPU all is float32, so that one seed and one
thread count give the same bits.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from sgu.checks import NOT_NEGATIVE, POSITIVE, at_least, check, one_of
from sgu.data.examples import Examples
from sgu.data.pipeline import Pipeline
from sgu.host.devices import fastest_kernels, precision, to_device
from sgu.host.replay import Replayed, steady
from sgu.training.inference import device_of, restoring_modes
from sgu.training.snapshots import Snapshots, State
from sgu.typed import typed_fields


class Diverged(RuntimeError):
    """The training loss is no longer finite."""


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """Settings of an optimisation. lr: the schedule's highest; momentum: Nesterov's, for sgd alone.

    epochs = 0 trains nothing. compile: use torch.compile, which needs a C++ compiler on the CPU and
    replays its own CUDA graphs; short batches are not compiled, as each size would be anew.
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
        typed_fields(self)
        check(
            self,
            epochs=NOT_NEGATIVE,
            lr=POSITIVE,
            optimiser=one_of(("sgd", "adamw")),
            momentum=(lambda momentum: 0 <= momentum < 1, "at least 0 and below 1"),
            weight_decay=NOT_NEGATIVE,
            batch_size=at_least(2),
            schedule=one_of(SCHEDULES),
        )


def _one_cycle(progress: float, peak: float = 0.25) -> float:
    return min(progress / peak, (1 - progress) / (1 - peak))


# progress through training, 0..1 -> share of the highest learning rate
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
    "one_cycle": _one_cycle,
}


def batches(indices: Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield parts (<= batch_size,) of the indices (n,), in random order.

    A last batch of one is left out: batch-norm cannot normalise it.
    """
    order = to_device(torch.randperm(len(indices), generator=generator), indices.device)
    for batch in indices[order].split(batch_size):
        if len(batch) > 1:
            yield batch


def steps_of(size: int, batch_size: int) -> int:
    """Return how many `batches` so many indices make."""
    return size // batch_size + (size % batch_size > 1)


@dataclass(frozen=True, eq=False)
class Batch:
    """Indices (n,) into the examples, their prepared inputs (n, ...) and their targets (n,)."""

    indices: Tensor
    inputs: Tensor
    targets: Tensor


Objective = Callable[[nn.Module, Batch], Tensor]  # a scalar to be minimised


def classification(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean cross-entropy."""
    return F.cross_entropy(model(batch.inputs), batch.targets)


@dataclass(frozen=True, eq=False)
class Pass:
    """One pass, in random order, over the examples at indices (n,), to minimise an objective.

    batch_size: None is the optimisation's; rate: its share of the schedule's learning rate.
    pure: the objective is a function of weights and batch alone, in shapes that no value changes,
    so that its steps may be replayed as a CUDA graph; of `classification` that is known.
    saw: called with the size of each batch.
    """

    indices: Tensor
    objective: Objective = classification
    batch_size: int | None = None
    rate: float = 1.0
    pure: bool = False
    saw: Callable[[int], None] = lambda _: None


Plan = Callable[[int], Sequence[Pass]]  # the passes of an epoch, counted from 0
Adjust = Callable[[int, bool], None]  # of the gradients of a step; True: the last of its epoch
AfterSteps = Callable[[torch.optim.Optimizer], None]


def make_optimiser(
    model: nn.Module, optimisation: Optimisation, steps: int
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """Return the optimiser and its schedule over `steps` updates; step the schedule after each."""
    shared: dict[str, Any] = {
        "lr": optimisation.lr,
        "weight_decay": optimisation.weight_decay,
        "fused": device_of(model).type != "mps",
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
    adjust: Adjust | None = None,
    after_steps: AfterSteps | None = None,
    snapshots: Snapshots | None = None,
) -> None:
    """Train `model` in place.

    plan: indices (n,) of the examples to classify, or the passes of each epoch.
    seed: of the order and the augmentation; on the CPU the same seed gives the same bits.
    on_epoch: called with the epoch, from 0, and its mean loss over the batches.
    adjust: called before each update with the step, from 1, and True if it is its epoch's last.
    after_steps: called after the steps of an epoch, to take further ones with the optimiser.
    snapshots: saved after each epoch; training goes on from the one they hold.
    Raises Diverged where an epoch's loss is not finite.
    """
    passes = (lambda _: [Pass(plan)]) if isinstance(plan, Tensor) else plan
    epochs = [passes(epoch) for epoch in range(optimisation.epochs)]
    lengths = _lengths(epochs, optimisation.batch_size)
    trainer = _Trainer(model, examples, pipeline, optimisation, seed, sum(lengths))
    snapshots = snapshots or Snapshots()
    snapshots.add("training", trainer)
    with restoring_modes(model), fastest_kernels():
        model.train()
        for epoch in range(trainer.epochs, len(epochs)):
            first = sum(lengths[:epoch]) + 1
            steps = range(first, first + lengths[epoch])
            loss = trainer.descend(epochs[epoch], steps, adjust)
            if not math.isfinite(loss):
                raise Diverged(f"loss is {loss} in epoch {epoch}: lower lr (now {optimisation.lr})")
            if after_steps:
                after_steps(trainer.optimiser)
            if on_epoch:
                on_epoch(epoch, loss)
            trainer.epochs += 1
            snapshots.save()


def _lengths(epochs: Sequence[Sequence[Pass]], batch_size: int) -> list[int]:
    lengths = [
        sum(steps_of(len(part.indices), part.batch_size or batch_size) for part in parts)
        for parts in epochs
    ]
    if 0 in lengths:
        raise ValueError("an epoch of training has < 2 examples: choose more of them")
    return lengths


class _Trainer:
    """The state that training changes: model, optimiser, schedule, generator and epochs done."""

    def __init__(
        self,
        model: nn.Module,
        examples: Examples,
        pipeline: Pipeline,
        optimisation: Optimisation,
        seed: int,
        steps: int,
    ):
        self.model, self.optimisation, self.epochs = model, optimisation, 0
        self.device = device_of(model)
        self.examples, self.pipeline = examples.to(self.device), pipeline.to(self.device)
        self.generator = torch.Generator().manual_seed(seed)
        self.optimiser, self.schedule = make_optimiser(model, optimisation, max(steps, 1))
        self.network = self._compiled() if optimisation.compile else model
        self.steady = steady(model) and not optimisation.compile
        self.replays = dict[tuple[Objective, int], Replayed]()
        if self._on_cuda:
            torch.cuda.manual_seed(seed)  # what dropout draws from

    def descend(self, passes: Sequence[Pass], steps: range, adjust: Adjust | None) -> float:
        """Take the steps of an epoch, one a batch, and return the mean loss."""
        total = torch.zeros((), device=self.device)
        for step, (indices, part) in zip(steps, self._batches(passes), strict=True):
            whole = len(indices) == (part.batch_size or self.optimisation.batch_size)
            total += self._differentiate(indices, part, whole)
            if adjust:
                adjust(step, step == steps[-1])
            for group in self.optimiser.param_groups:
                group["lr"] *= part.rate  # until the schedule sets it anew
            self.optimiser.step()
            self.schedule.step()
        return float(total) / len(steps)

    def _batches(self, passes: Sequence[Pass]) -> Iterator[tuple[Tensor, Pass]]:
        for part in passes:
            batch_size = part.batch_size or self.optimisation.batch_size
            indices = to_device(part.indices, self.examples.inputs.device)
            for batch in batches(indices, batch_size, self.generator):
                yield batch, part

    def _compiled(self) -> Any:
        if self._on_cuda:
            return torch.compile(self.model, mode="reduce-overhead")
        return torch.compile(self.model)

    def _differentiate(self, indices: Tensor, part: Pass, whole: bool) -> Tensor:
        """Return the loss of a batch; its gradients replace those of the batch before."""
        inputs, targets = self.examples.at(indices, self.device)
        augmentation = self.generator if self.optimisation.augment else None
        prepared = self.pipeline.prepare(inputs, augmentation)
        part.saw(len(indices))
        step = self._step(part, whole, len(indices))
        loss, gradients = step(to_device(indices, self.device), prepared, targets)
        for weights, gradient in zip(self.model.parameters(), gradients, strict=True):
            weights.grad = gradient
        return loss

    def _step(self, part: Pass, whole: bool, size: int) -> Callable[..., Any]:
        """Return `_gradients` of a pass, replayed where its steps are surely alike."""
        step = partial(self._gradients, self.network if whole else self.model, part.objective)
        alike = whole and self.steady and (part.pure or part.objective is classification)
        if not alike:
            return step
        replayed = Replayed(step, self.device, eager=2)
        return self.replays.setdefault((part.objective, size), replayed)

    def _gradients(
        self, network: Any, objective: Objective, indices: Tensor, inputs: Tensor, targets: Tensor
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Return the loss of a batch, and the gradient of each of the weights."""
        if self.optimisation.compile:
            torch.compiler.cudagraph_mark_step_begin()
        with precision(self.device):
            loss = objective(network, Batch(indices, inputs, targets))
        self.optimiser.zero_grad()
        loss.backward()
        return loss.detach(), [weights.grad for weights in self.model.parameters()]

    def state(self) -> State:
        return {
            "epochs": self.epochs,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": self.generator.get_state(),
            "dropout": torch.cuda.get_rng_state(self.device) if self._on_cuda else None,
        }

    def restore(self, state: State) -> None:
        self.epochs = state["epochs"]
        self.model.load_state_dict(state["model"])
        weights, saved = list(self.model.parameters()), state["optimiser"]
        saved["state"] = {
            int(k): {name: _laid_out(value, weights[int(k)]) for name, value in values.items()}
            for k, values in saved["state"].items()
        }
        self.optimiser.load_state_dict(saved)
        self.schedule.load_state_dict(state["schedule"])
        self.generator.set_state(state["generator"])
        if self._on_cuda and state.get("dropout") is not None:
            torch.cuda.set_rng_state(state["dropout"], self.device)

    @property
    def _on_cuda(self) -> bool:
        return self.device.type == "cuda"


def _laid_out(value: Tensor, weights: Tensor) -> Tensor:
    """Return the value in the memory layout of its weights, which fused optimisers rely on."""
    return torch.empty_like(weights).copy_(value) if value.shape == weights.shape else value
