"""The files that are to be audited: what they say of themselves, and their weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn

from sgu.data.splits.from_file import splits_from_file
from sgu.data.splits.scenarios import Scenario
from sgu.experiment import DATA_SETTINGS, Experiment
from sgu.models import build, load_model
from sgu.task import Task
from sgu.training.inference import default_device

CHECKED = sorted(DATA_SETTINGS | {"model", "pretrain_epochs", "seed"})
TAKEN = ("original", "retrained")


@dataclass(frozen=True)
class Files:
    """Files to audit, or without any the game and its control; the experiment says which data they
    are about, who was forgotten, and the architecture. splits: a file that says who was forgotten,
    in place of the experiment (`sgu.data.splits.from_file`)."""

    paths: list[Path]
    experiment: Experiment
    splits: Path | None = None

    def __post_init__(self) -> None:
        if self.splits and self.experiment.forgetting() != Scenario():
            raise ValueError("--splits says who was forgotten: leave --scenario and the like out")
        names = [path.stem for path in self.paths]
        for name in names:
            if name in TAKEN or names.count(name) > 1:
                raise ValueError(f"{name} is the name of two models: rename the file")

    def unlearned_by(self) -> dict[str, Experiment]:
        """How those models were unlearned of which that is known."""
        if not self.paths:
            return {each.method: each for each in (self.experiment.control(), self.experiment)}
        found = {path.stem: told_by(path) for path in self.paths}
        for name, own in found.items():
            if own:
                _check(name, own, self.experiment)
        return {name: own for name, own in found.items() if own}

    def untold(self) -> list[str]:
        """The models of which neither their file nor another says who was forgotten."""
        return [] if self.splits else [path.stem for path in self.paths if not told_by(path)]

    def notes(self) -> list[str]:
        """What is believed of the files without their saying so."""
        own = self.experiment
        return [
            f"{name}: who was forgotten is taken from the options (scenario {own.scenario}, seed "
            f"{own.seed}), as the file does not say: where it was others, name them by --splits"
            for name in self.untold()
        ]

    def task(self, cache: Path) -> Task:
        """The data, and who was forgotten. Raises ValueError where a file with splits contradicts
        what a model says of itself."""
        drawn = self.experiment.task(cache)
        if self.splits is None:
            return drawn
        stated = splits_from_file(self.splits, drawn.source, drawn.splits)
        if self.paths and self.unlearned_by() and stated.digest != drawn.splits.digest:
            name = next(iter(self.unlearned_by()))
            raise ValueError(
                f"{name} says itself who was forgotten, and {self.splits} says otherwise: "
                "leave --splits out"
            )
        return replace(drawn, splits=stated)

    def settings(self) -> Mapping[str, Any]:
        """Those of the experiment, but for what the file with splits says in their place."""
        own = self.experiment.settings()
        if self.splits is None:
            return own
        drawing = {each.name for each in fields(Scenario)}
        return {name: own[name] for name in own if name not in drawing} | {
            "splits": str(self.splits)
        }

    def models(self, task: Task) -> dict[str, nn.Module]:
        return {
            path.stem: load(path, self.experiment, task).to(default_device()) for path in self.paths
        }

    def digests(self) -> dict[str, str]:
        """SHA-256 of each file, by its path as given."""
        files = [*self.paths, *([self.splits] if self.splits else [])]
        return {str(path): sha256(path.read_bytes()).hexdigest() for path in files}


def told_by(path: Path) -> Experiment | None:
    """How `sgu --save` says that the model was unlearned; None where a file does not say."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file: give a model as a safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            info = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(
            f"{path} is no safetensors file ({error}): save the weights with safetensors"
        ) from error
    if "settings" not in info:
        return None
    try:
        return Experiment.of(**json.loads(info["settings"]))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: its metadata `settings` are not as `sgu --save` writes them ({error}): "
            "remove them"
        ) from error


def _check(name: str, own: Experiment, asked: Experiment) -> None:
    """Raise ValueError where a model is of other data, or of another original, than asked."""
    ours, theirs = asked.settings(), own.settings()
    other = {key: theirs[key] for key in CHECKED if theirs[key] != ours[key]}
    if other:
        here = ", ".join(f"{key} = {ours[key]!r}" for key in other)
        there = ", ".join(f"{key} = {value!r}" for key, value in other.items())
        raise ValueError(f"{name} was unlearned with {there}, the options say {here}: give its own")


def load(path: Path, experiment: Experiment, task: Task) -> nn.Module:
    """The file's weights in the experiment's architecture."""
    model = build(experiment.model, task.source.shape, experiment.seed)
    try:
        load_model(path, model)
    except ValueError as error:
        raise ValueError(
            f"{path} holds another model than {experiment.model} for this data: choose its "
            "architecture by --model, and its data by --data"
        ) from error
    return model
