"""The two references of every comparison, trained once and kept by the content of their recipe.

`original` is trained on all of train, `retrain` on retain alone with the same recipe: what
unlearning should have come to.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from sgu.models import build, load_model, pretraining, save_model
from sgu.task import Task
from sgu.training.clock import Clock
from sgu.training.loop import Optimisation, train

Kind = Literal["original", "retrain"]
EpochReport = Callable[[int, float], None]  # epoch from 0, mean loss
RECIPE = 2  # raise when training changes in a way that no setting shows


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides a reference's weights, on one machine."""

    kind: Kind
    model: str
    seed: int
    data_fingerprint: str
    forgotten: str  # digest of the split, for `retrain`
    optimisation: Optimisation
    version: int = RECIPE

    @property
    def digest(self) -> str:
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def filename(self) -> str:
        return f"{self.model}-{self.kind}-{self.digest}.safetensors"


def recipe(kind: Kind, model: str, task: Task, seed: int, epochs: int | None = None) -> Recipe:
    """The recipe of a reference; epochs: instead of the model's own number."""
    made = pretraining(model)
    return Recipe(
        kind=kind,
        model=model,
        seed=seed,
        data_fingerprint=task.source.fingerprint,
        forgotten=task.splits.digest if kind == "retrain" else "",
        optimisation=replace(made, epochs=epochs) if epochs else made,
    )


@dataclass(frozen=True, eq=False)
class Reference:
    """A trained model, the seconds its training took (once), and whether the cache had it."""

    model: nn.Module
    seconds: float
    cached: bool


def reference(
    made: Recipe,
    task: Task,
    cache: Path,
    device: torch.device,
    on_epoch: EpochReport | None = None,
) -> Reference:
    """The reference of a recipe, on `device`: loaded from the cache, or trained and put there."""
    found = stored(made, task, cache, device)
    if found is None:
        found = trained(made, task, device, on_epoch)
        keep(made, found, cache)
    return found


def stored(made: Recipe, task: Task, cache: Path, device: torch.device) -> Reference | None:
    """The reference that the cache has of a recipe."""
    path = Path(cache) / made.filename
    if not path.is_file():
        return None
    model = build(made.model, task.source.shape, made.seed)
    info = load_model(path, model)
    return Reference(model.to(device), float(info["seconds"]), True)


def trained(
    made: Recipe, task: Task, device: torch.device, on_epoch: EpochReport | None = None
) -> Reference:
    """The reference of a recipe, trained on `device`."""
    source, clock = task.source, Clock(device)
    model = build(made.model, source.shape, made.seed).to(device)
    rows = torch.arange(len(source.train)) if made.kind == "original" else task.splits.retain
    with clock.part("train"):
        train(model, source.train, rows, task.pipeline, made.optimisation, made.seed, on_epoch)
    return Reference(model, clock.seconds("train"), False)


def keep(made: Recipe, found: Reference, cache: Path) -> None:
    """Put a reference into the cache."""
    path = Path(cache) / made.filename
    settings = json.dumps(asdict(made), sort_keys=True)
    save_model(path, found.model, {"recipe": settings, "seconds": repr(found.seconds)})
