"""Training and prediction, with the whole data set on the model's device as uint8.

On CUDA the forward pass runs in bfloat16; on the CPU all is float32, so that one seed and one
thread count give the same bits.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import LambdaLR

from sgu.checks import check
from sgu.data.pipeline import Pipeline
from sgu.data.tables import Examples


class Diverged(RuntimeError):
    """The training loss is no longer finite."""


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """Stochastic gradient descent with Nesterov momentum. lr: the schedule's highest."""

    epochs: int
    lr: float
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 128
    schedule: str = "cosine"
    augment: bool = False

    def __post_init__(self) -> None:
        check(
            self,
            epochs=(self.epochs >= 1, ">= 1"),
            lr=(0 < self.lr < math.inf, "> 0"),
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


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Evaluation mode inside; each submodule's own mode restored after."""
    with _restoring_modes(model):
        yield model.eval()


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[nn.Module]:
    """Batch-norm normalises by the batch inside, all else evaluates; no buffer is written."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    tracked = [norm.track_running_stats for norm in norms]
    with _restoring_modes(model):
        model.eval()
        try:
            for norm in norms:
                norm.train()
                norm.track_running_stats = False  # in train mode: batch statistics, none kept
            yield model
        finally:
            for norm, track in zip(norms, tracked, strict=True):
                norm.track_running_stats = track


def predict(model: nn.Module, images: Tensor, pipeline: Pipeline, batch_size: int = 1000) -> Tensor:
    """Logits, float32 (n, classes), of images, uint8 (n, C, H, W), on the model's device."""
    device = device_of(model)
    logits = []
    with evaluating(model), torch.inference_mode(), precision(device):
        for batch in images.split(batch_size):
            logits.append(model(pipeline.prepare(batch.to(device))))
    return torch.cat(logits).float()  # outside inference mode: a tensor that autograd accepts


def batches(rows: int | Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Index tensors (<= batch_size,) over range(rows) or over rows (n,), in random order.

    A last batch of one is left out: batch-norm cannot normalise it.
    """
    rows = torch.arange(rows) if isinstance(rows, int) else rows
    order = torch.randperm(len(rows), generator=generator).to(rows.device)
    for batch in rows[order].split(batch_size):
        if len(batch) > 1:
            yield batch


def steps_an_epoch(rows: int, batch_size: int) -> int:
    """How many `batches` there are: a last one of one row is left out."""
    return rows // batch_size + (rows % batch_size > 1)


def make_optimiser(
    model: nn.Module, optimisation: Optimisation, steps: int
) -> tuple[torch.optim.SGD, LambdaLR]:
    """The optimiser and its schedule over `steps` updates; step the schedule after each."""
    optimiser = torch.optim.SGD(
        model.parameters(),
        lr=optimisation.lr,
        momentum=optimisation.momentum,
        weight_decay=optimisation.weight_decay,
        nesterov=optimisation.momentum > 0,
        fused=device_of(model).type in ("cpu", "cuda"),
    )
    share = SCHEDULES[optimisation.schedule]
    return optimiser, LambdaLR(optimiser, lambda step: share(min((step + 0.5) / steps, 1.0)))


def train(
    model: nn.Module,
    examples: Examples,
    indices: Tensor,
    pipeline: Pipeline,
    optimisation: Optimisation,
    seed: int,
    on_epoch: Callable[[int, float], None] | None = None,
    adjust: Callable[[int], None] | None = None,
) -> None:
    """Train `model` in place on the rows `indices` (n,) of examples, by cross-entropy.

    seed: of the order and the augmentation; on the CPU the same seed gives the same bits.
    on_epoch: called with the epoch, from 0, and its mean training loss.
    adjust: called with the step, from 0, once its gradients are there and before they are used.
    Raises Diverged where an epoch's loss is not finite.
    """
    device = device_of(model)
    examples, indices = examples.to(device), indices.to(device)
    generator = torch.Generator().manual_seed(seed)
    augmentation = generator if optimisation.augment else None
    steps = steps_an_epoch(len(indices), optimisation.batch_size)
    if steps == 0:
        raise ValueError(f"training on {len(indices)} images; need >= 2: choose more indices")
    optimiser, schedule = make_optimiser(model, optimisation, steps * optimisation.epochs)
    with _restoring_modes(model):
        model.train()
        for epoch in range(optimisation.epochs):
            total = torch.zeros((), device=device)
            first = epoch * steps
            for step, batch in enumerate(
                batches(indices, optimisation.batch_size, generator), first
            ):
                images = pipeline.prepare(examples.inputs[batch], augmentation)
                with precision(device):
                    loss = F.cross_entropy(model(images), examples.targets[batch])
                optimiser.zero_grad()
                loss.backward()
                if adjust:
                    adjust(step)
                optimiser.step()
                schedule.step()
                total += loss.detach()
            mean_loss = float(total) / steps
            if not math.isfinite(mean_loss):
                raise Diverged(
                    f"loss is {mean_loss} in epoch {epoch}: lower lr (now {optimisation.lr})"
                )
            if on_epoch:
                on_epoch(epoch, mean_loss)


def default_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def precision(device: torch.device) -> torch.autocast:
    """The precision of forward passes: bfloat16 on CUDA, float32 elsewhere."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


@contextmanager
def _restoring_modes(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
