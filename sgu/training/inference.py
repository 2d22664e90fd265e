"""A network in use: its modes, its device, and its logits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sgu.data.examples import Examples
from sgu.data.pipeline import Pipeline
from sgu.host.devices import full_float32, to_device


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Switch to evaluation mode inside, and restore each submodule's own mode after."""
    with restoring_modes(model):
        yield model.eval()


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[nn.Module]:
    """Evaluate inside, but let batch-norm normalise by the batch; no buffer is written."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    tracked = [norm.track_running_stats for norm in norms]
    with restoring_modes(model):
        model.eval()
        try:
            for norm in norms:
                norm.train()
                norm.track_running_stats = False  # in train mode: batch statistics, none kept
            yield model
        finally:
            for norm, track in zip(norms, tracked, strict=True):
                norm.track_running_stats = track


def predict(
    model: nn.Module,
    examples: Examples,
    pipeline: Pipeline,
    indices: Tensor | None = None,
    batch_size: int = 1000,
) -> Tensor:
    """Return logits, float32 (n, classes), of the examples at `indices` (n,) (None: of all), on the
    model's device, in evaluation mode and full precision: bfloat16 would move margins by .02."""
    device, logits = device_of(model), []
    indices = torch.arange(len(examples)) if indices is None else indices
    batches = to_device(indices, examples.inputs.device).split(batch_size)
    pipeline = pipeline.to(device)
    with evaluating(model), torch.no_grad(), full_float32():
        for batch in batches:
            inputs, _ = examples.at(batch, device)
            logits.append(model(pipeline.prepare(inputs)))
    return torch.cat(logits).float()


def default_device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


@contextmanager
def restoring_modes(model: nn.Module) -> Iterator[None]:
    """Restore each submodule's mode after."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
