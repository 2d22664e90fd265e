"""Bad teaching: learn forget from an untrained teacher, and retain from the original.

    min over theta of mean KL(softmax(t / T) || softmax(s / T)) over forget and a share of retain

where s are the student's logits, and t those of a randomly initialised network on forget and of the
original on retain, both in evaluation mode. Published: T 1, 30 % of retain, Adam, lr 1e-4,
1 epoch, batches of 256.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from sgu.checks import POSITIVE, SHARE, Bounds
from sgu.methods.base import Method, Run, Space
from sgu.methods.scrub import divergence, taught_by
from sgu.training.inference import device_of
from sgu.training.loop import Batch, Pass


@dataclass(frozen=True, kw_only=True)
class BadTeacher(Method):
    """Distillation from two teachers. retain_share: the share of retain that is taught again."""

    source: ClassVar[str] = "Chundawat 2023, arXiv 2205.08096"
    space: ClassVar[Space] = {
        "lr": {"low": 1e-5, "high": 1e-3, "log": True},
        "epochs": [1, 2, 5, 10],
        "retain_share": [0.3, 1.0],
    }
    bounds: ClassVar[Bounds] = {"retain_share": SHARE, "temperature": POSITIVE}

    epochs: int = 1
    lr: float = 1e-4
    optimiser: Literal["sgd", "adamw"] = "adamw"
    weight_decay: float = 0.0
    batch_size: int = 256
    schedule: str = "constant"
    retain_share: float = 0.3
    temperature: float = 1.0

    def unlearn(self, run: Run) -> None:
        order = torch.randperm(len(run.retain), generator=run.generator())
        retain = run.retain[order[: math.ceil(self.retain_share * len(order))]]
        forget = run.forget
        competent = taught_by(run.original, run, retain, self.augment)
        incompetent = taught_by(untrained(run.original, run.seed), run, forget, self.augment)
        forgotten = torch.zeros(len(run.task.source.train), 1, dtype=torch.bool, device=run.device)
        forgotten[forget] = True

        def objective(model: nn.Module, batch: Batch) -> Tensor:
            t = torch.where(forgotten[batch.indices], incompetent(batch), competent(batch))
            return divergence(t, model(batch.inputs), self.temperature)

        both = torch.cat([retain, forget])
        run.train(self, lambda _: [Pass(both, objective, pure=True)])


def untrained(network: nn.Module, seed: int) -> nn.Module:
    """Return a network of the same architecture, on its device, with weights drawn from `seed`.

    They are drawn on the CPU, so that they are the same everywhere, and the global generator stays
    as it is. Modules without `reset_parameters` get normal weights of deviation .02.
    """
    fresh = copy.deepcopy(network).cpu()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed + 2**32)
        for module in fresh.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
            else:
                for weights in module.parameters(recurse=False):
                    nn.init.normal_(weights, std=0.02)
    return fresh.to(device_of(network))
