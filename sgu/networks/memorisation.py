"""How much a network memorises each training example: counterfactual memorisation.

    mem(i) = E[ p(y_i | x_i) | trained with i ] - E[ p(y_i | x_i) | trained without i ]

over networks trained on random halves of train, p the probability of the example's own class.
Feldman & Zhang 2020, "What Neural Networks Memorize and Why", arXiv 2008.03703; with a smooth
value in place of 0/1 accuracy: Zhang et al. 2021, "Counterfactual Memorization in Neural Language
Models", arXiv 2112.12938.

Halves come in pairs, one the complement of the other: with P pairs each example has P networks
trained with it and P without, and all of them cost as much as P trainings on the whole of train.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sgu.data.pipeline import Pipeline
from sgu.data.sources import Source
from sgu.data.splits.stratify import deal
from sgu.files.atomic import atomic_write
from sgu.models import build, pretraining
from sgu.networks.references import Recipe
from sgu.training.inference import default_device, predict
from sgu.training.loop import train

Progress = Callable[[int, int], None]  # epochs done, of how many
PAIRS = 2
VERSION = 1  # raise when the estimate changes in a way that no setting shows


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Everything that decides the memorisation of a source's training examples, on one machine.

    training: of the networks on its halves, the recipe of the original.
    """

    training: Recipe
    pairs: int = PAIRS
    version: int = VERSION

    @property
    def epochs(self) -> int:
        """Of all its networks together."""
        return 2 * self.pairs * self.training.optimisation.epochs

    @property
    def filename(self) -> str:
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"{self.training.model}-memorisation-{digest[:16]}.safetensors"


def memorisation(
    source: Source,
    model: str,
    seed: int,
    cache: Path,
    epochs: int | None = None,
    pairs: int = PAIRS,
    device: torch.device | None = None,
    on_epoch: Progress | None = None,
) -> Tensor:
    """Of each training example, float64 (N,), at most 1: loaded from the cache, or estimated.

    epochs: instead of the model's own number; device: default a GPU where there is one.
    """
    optimisation = pretraining(model)
    training = Recipe(
        kind="original",
        model=model,
        seed=seed,
        data_fingerprint=source.fingerprint,
        forgotten="",
        optimisation=replace(optimisation, epochs=epochs) if epochs else optimisation,
    )
    made = Estimate(training=training, pairs=pairs)
    path = Path(cache) / made.filename
    if path.is_file():
        return load_file(path)["memorisation"]
    found = estimate(made, source, device or default_device(), on_epoch or (lambda *_: None))
    _save(path, found, made)
    return found


def estimate(made: Estimate, source: Source, device: torch.device, on_epoch: Progress) -> Tensor:
    """The mean over the pairs of p(y | x) with the example less p(y | x) without it, (N,)."""
    examples, pipeline = source.train.to(device), Pipeline.of(source.train.inputs)
    targets, optimisation = source.train.targets.cpu(), made.training.optimisation
    generator, done = torch.Generator().manual_seed(made.training.seed), 0
    total = torch.zeros(len(targets), dtype=torch.float64)

    def count(*_: object) -> None:
        nonlocal done
        done += 1
        on_epoch(done, made.epochs)

    for _ in range(made.pairs):
        for half in deal(targets, torch.arange(len(targets)), 2, generator):
            seed = int(torch.randint(2**31, (), generator=generator))
            model = build(made.training.model, source.shape, seed).to(device)
            train(model, examples, half, pipeline, optimisation, seed, count)
            logits = predict(model, examples, pipeline).double().cpu()
            within = torch.full_like(total, -1).index_fill(0, half, 1)
            total += within * logits.softmax(1).gather(1, targets[:, None]).squeeze(1)
    return total / made.pairs


def _save(path: Path, found: Tensor, made: Estimate) -> None:
    settings = json.dumps(asdict(made), sort_keys=True)
    with atomic_write(path) as unfinished:
        save_file({"memorisation": found}, unfinished, metadata={"estimate": settings})
