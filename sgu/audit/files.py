"""The files that are to be audited: what they say of themselves, and their weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import nn

from sgu.experiment import DATA_SETTINGS, Experiment
from sgu.inference import default_device
from sgu.models import build, load_model
from sgu.world import World

CHECKED = sorted(DATA_SETTINGS | {"model", "pretrain_epochs", "seed"})
TAKEN = ("original", "retrained")


@dataclass(frozen=True)
class Files:
    """Files to audit, or without any the game and its control; the experiment says which data they
    are about, who was forgotten, and the architecture."""

    paths: list[Path]
    experiment: Experiment

    def __post_init__(self) -> None:
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

    def models(self, world: World) -> dict[str, nn.Module]:
        return {
            path.stem: load(path, self.experiment, world).to(default_device())
            for path in self.paths
        }

    def digests(self) -> dict[str, str]:
        """SHA-256 of each file, by its path as given."""
        return {str(path): sha256(path.read_bytes()).hexdigest() for path in self.paths}


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


def load(path: Path, experiment: Experiment, world: World) -> nn.Module:
    """The file's weights in the experiment's architecture."""
    model = build(experiment.model, world.source.shape, experiment.seed)
    try:
        load_model(path, model)
    except ValueError as error:
        raise ValueError(
            f"{path} holds another model than {experiment.model} for this data: choose its "
            "architecture by --model, and its data by --data"
        ) from error
    return model
