"""The files to be audited: what they say of themselves, and their weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch import nn

from sgu.data.splits.from_file import splits_from_file
from sgu.data.splits.scenarios import Scenario
from sgu.experiment import REFERENCE_SETTINGS, Experiment
from sgu.models import OtherModel, build, load_model, read_info, trained_elsewhere
from sgu.task import Task
from sgu.training.inference import default_device

TAKEN = ("original", "retrained")


@dataclass(frozen=True)
class Files:
    """Files to audit, or without any the game and its control; the experiment gives their data, who
    was forgotten, and the architecture. splits: a file that says who was forgotten, in place of the
    experiment (`sgu.data.splits.from_file`)."""

    paths: list[Path]
    experiment: Experiment
    splits: Path | None = None

    def __post_init__(self) -> None:
        if self.splits and (self.experiment.forget or self.experiment.forgetting() != Scenario()):
            raise ValueError(
                "--splits says who was forgotten: leave --forget, --scenario and the like out"
            )
        names = [path.stem for path in self.paths]
        for name in names:
            if name in TAKEN or names.count(name) > 1:
                raise ValueError(f"{name} is the name of two models: rename the file")

    def unlearned_by(self) -> dict[str, Experiment]:
        """Return how the models were unlearned, by name, as far as that is known."""
        if not self.paths:
            return {e.method: e for e in (self.experiment.control(), self.experiment)}
        known = {path.stem: saved for path in self.paths if (saved := saved_settings(path))}
        for name, saved in known.items():
            _check(name, saved, self.experiment)
        return known

    @property
    def stated(self) -> Path | None:
        """Return the file that says who was forgotten, if one does."""
        return self.splits or (Path(self.experiment.forget) if self.experiment.forget else None)

    def undocumented(self) -> list[str]:
        """Return the models whose forgotten examples neither they nor a file of splits name."""
        return [] if self.stated else [path.stem for path in self.paths if not saved_settings(path)]

    def notes(self) -> list[str]:
        """Return what is believed of the files without their saying so."""
        return [
            f"{name}: who was forgotten is taken from the options (scenario "
            f"{self.experiment.scenario}, seed {self.experiment.seed}), as the file does not say: "
            "where it was others, name them by --splits"
            for name in self.undocumented()
        ]

    def task(self, cache: Path) -> Task:
        """Return the data, and who was forgotten. Raises ValueError if a model says of itself that
        they were others, by their content or by a file of splits."""
        drawn = self.experiment.task(cache)
        for path in self.paths:
            _check_data(path, drawn, stated=self.splits is not None)
        if self.splits is None:
            return drawn
        splits = splits_from_file(self.splits, drawn.source, drawn.splits)
        known = self.unlearned_by() if self.paths else {}
        if known and splits.digest != drawn.splits.digest:
            raise ValueError(
                f"{next(iter(known))} says itself who was forgotten, and {self.splits} says "
                "otherwise: leave --splits out"
            )
        return replace(drawn, splits=splits)

    def settings(self) -> Mapping[str, Any]:
        """Return the experiment's settings; a file of splits stands in place of the scenario's."""
        settings = self.experiment.settings()
        if self.splits is None:
            return settings
        drawing = {field.name for field in fields(Scenario)}
        kept = {name: value for name, value in settings.items() if name not in drawing}
        return kept | {"splits": str(self.splits)}

    def models(self, task: Task) -> dict[str, nn.Module]:
        device = default_device()
        return {path.stem: load(path, self.experiment, task).to(device) for path in self.paths}

    def fed(self) -> dict[str, str]:
        """Return how each model is fed, in words, by name."""
        return {path.stem: str(self.experiment.preprocessing_of(path)) for path in self.paths}

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each file, by its path as given."""
        original = [Path(self.experiment.original)] if self.experiment.original else []
        files = [*self.paths, *([self.stated] if self.stated else []), *original]
        return {str(path): sha256(path.read_bytes()).hexdigest() for path in files}


def saved_settings(path: Path) -> Experiment | None:
    """Return how `sgu --save` says that the model was unlearned; None if the file does not say."""
    info = read_info(path)
    if "settings" not in info:
        return None
    try:
        return Experiment.of(**json.loads(info["settings"]))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: its metadata `settings` are not as `sgu --save` writes them ({error}): "
            "remove them"
        ) from error


def _check(name: str, saved: Experiment, experiment: Experiment) -> None:
    """Raise ValueError if a model is of other data, or of another original, than the options."""
    both = saved.settings(), experiment.settings()
    differing = [key for key in sorted(REFERENCE_SETTINGS) if both[0][key] != both[1][key]]
    if differing:
        was, says = (", ".join(f"{key} = {s[key]!r}" for key in differing) for s in both)
        raise ValueError(f"{name} was unlearned with {was}, the options say {says}: give its own")


def _check_data(path: Path, task: Task, stated: bool) -> None:
    """Raise ValueError if a model says that it was unlearned on data, or splits, of other content.

    stated: True if a file of splits says who was forgotten, in place of the task's.
    """
    info, digest = read_info(path), task.splits.digest
    if complaint := trained_elsewhere(info, task.source.fingerprint):
        raise ValueError(f"{path} {complaint}: give its own by --data")
    if not stated and (known := info.get("split_digest", digest)) != digest:
        raise ValueError(
            f"{path} has forgotten other examples (splits {known}, now {digest}): give its own by "
            "--forget or --scenario, and its --seed"
        )


def load(path: Path, experiment: Experiment, task: Task) -> nn.Module:
    """Return a model of the experiment's architecture with the file's weights, fed as it was
    trained."""
    model = build(experiment.model, task.source.shape, experiment.seed)
    try:
        load_model(path, model)
    except OtherModel as error:
        raise ValueError(
            f"{error}: choose its architecture by --model, its data by --data"
        ) from error
    return experiment.preprocessing_of(path).around(model, task.pipeline)
