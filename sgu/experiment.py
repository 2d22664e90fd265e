"""The settings of one unlearning run, and its task, references, method and game."""

from __future__ import annotations

import difflib
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from torch import nn

from sgu.auditor import Auditor, CvxpyAuditor, LinearAuditor, MLPAuditor
from sgu.checks import FRACTION, check, one_of, optional
from sgu.data.sources import Source
from sgu.data.splits.scenarios import Scenario, ScenarioName
from sgu.game import Game, View
from sgu.methods import GAME, OVER, Method, method_class, plays
from sgu.models import (
    Preprocessing,
    pretraining,
    read_info,
    read_preprocessing,
    trained_elsewhere,
)
from sgu.networks.memorisation import Progress, memorisation
from sgu.networks.recipe import Kind, Recipe
from sgu.networks.references import recipe, reference
from sgu.networks.training import EpochReport, Network, network_for
from sgu.task import Task
from sgu.training.inference import default_device
from sgu.typed import typed_fields

CACHE = Path("results/cache")


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The settings of one run, checked on construction; each is a result column or in `config`.

    The text of each setting is also the help of its option on the command line. More about the
    data: `load_source` and `Scenario`; about the game, which methods sg and sg+NAME play: `Game`.
    options: the method's own settings and those of its optimisation; those left out are as
    published. None for pretrain_epochs is the model's own number; for view, calibrated if the game
    is over a method with a reference, else logits+loss. audit_batch counts both sides of a round;
    all 800 of the embedded data fit.
    """

    data: Annotated[str, "embedded, cifar10, cifar100, svhn, newsgroups, or a folder."] = "embedded"
    subset: Annotated[int | None, "Use this many train examples, class-balanced."] = None
    classes: Annotated[int | None, "Use the first so many classes; none: all."] = None
    audit: Annotated[int | None, "Held-out examples for the game; none: two fifths."] = None
    holdout: Annotated[float | None, "Of a folder without test: the share to hold out."] = None
    skip_corrupt: Annotated[bool, "Leave out images that cannot be read, and name them."] = False
    halved: Annotated[bool, "Halve held-out: audit, which is val, and test, as published."] = False
    scenario: Annotated[ScenarioName, "What to forget"] = "random"
    forget_fraction: Annotated[float, "Share of train (subgroup: of its classes) to forget."] = 0.1
    forget_classes: Annotated[
        tuple[int | str, ...], "Of class and subgroup: names or numbers, such as cat,5."
    ] = ()
    requests: Annotated[int, "Forget in so many requests."] = 1
    forget: Annotated[
        str | None, "A file of indices or image paths to forget (CSV, TSV, Parquet, text)."
    ] = None
    model: Annotated[
        str, "small_cnn, resnet18, ..., a torchvision classifier, timm/NAME or module:Class."
    ] = "small_cnn"
    original: Annotated[
        str | None, "Unlearn this network (.safetensors, .pt, .pth) in place of one trained here."
    ] = None
    mean: Annotated[
        tuple[float, ...] | float, "Such as .49,.48,.45: the network is fed (x / 255 - mean) / std"
    ] = ()
    std: Annotated[tuple[float, ...] | float, "of images; none: as its file says, or ours."] = ()
    size: Annotated[int | None, "Pixels of a side to which its images are resized."] = None
    pretrain_epochs: Annotated[int | None, "Epochs of original and retrained."] = None
    seed: Annotated[int, "Of splits, training, batches and game."] = 0
    method: Annotated[str, "A name of `sgu methods`, or sg+NAME: the game over it."] = "sg"
    options: Mapping[str, Any] = field(default_factory=dict)
    alpha: Annotated[float, "Weight of the game; 0 is fine-tuning."] = 1.0
    reg: Annotated[float, "Regularisation of the auditor, > 0."] = 0.1
    solve_every: Annotated[int | Literal["epoch"], "Steps between rounds, or epoch."] = 8
    update: Annotated[
        Literal["joint", "alternate"], "Steps of the game (the authors' way: alternate)"
    ] = "joint"
    auditor: Annotated[str, "The auditor: linear, cvxpy or mlp."] = "linear"
    loss: Annotated[Literal["hinge", "squared_hinge", "logistic"], "The auditor's loss"] = "hinge"
    penalty: Annotated[Literal["l2", "l1"], "The auditor's penalty"] = "l2"
    view: Annotated[
        View | None, "What the auditor sees: logits+loss, loss, calibrated; none: by method."
    ] = None
    statistics: Annotated[Literal["batch", "separate", "running"], "Batch-norm while scoring"] = (
        "batch"
    )
    folds: Annotated[int, "Folds of a round, each with its own auditor."] = 3
    repeats: Annotated[int, "Partitions into folds a round; 0: shuffle splits (published)."] = 0
    audit_batch: Annotated[int | None, "Most examples scored in one round."] = 1000
    warm_start: Annotated[bool, "Start each round's auditor from the last one."] = False
    game_lr: Annotated[
        float | None, "Rate of the game's own steps (alternate); none: the training's optimiser."
    ] = None

    def __post_init__(self) -> None:
        typed_fields(self)
        check(self, auditor=one_of(AUDITORS))
        for name, least in {"subset": 1, "classes": 2, "audit": 1, "pretrain_epochs": 1}.items():
            check(self, **{name: optional(least)})
        if self.holdout is not None:
            check(self, holdout=FRACTION)
        object.__setattr__(self, "forget_classes", self.forgetting().forget_classes)
        if self.forget and self.forgetting() != Scenario():
            raise ValueError("forget names a file: leave scenario, its settings and requests out")
        stated = Preprocessing(self.mean, self.std, self.size)  # type: ignore[arg-type]
        object.__setattr__(self, "mean", stated.mean)
        object.__setattr__(self, "std", stated.std)
        pretraining(self.model)
        unlearner = self.unlearner()
        object.__setattr__(self, "view", self.view or self._view(unlearner))
        game = self.game()
        object.__setattr__(self, "options", asdict(unlearner))  # with those left out
        if game and game.alpha > 0 and unlearner.epochs == 0:
            raise ValueError("epochs = 0: the game needs an epoch or more: raise epochs")
        if game and game.view == "calibrated" and not unlearner.has_reference:
            raise ValueError(
                f"view = calibrated: {self.method} has no reference: choose logits+loss, or the "
                "game over a method that has one, such as sg+reference_distill"
            )

    @classmethod
    def of(cls, **settings: Any) -> Experiment:
        """Return the experiment with these settings, the method's among them.

        Each may be a text, as on the command line (`sgu.typed`). Raises ValueError.
        """
        options = {name: value for name, value in settings.items() if name not in SETTINGS}
        shared = {name: value for name, value in settings.items() if name in SETTINGS}
        return cls(**shared, options=options)

    def settings(self) -> dict[str, Any]:
        """Return all settings as plain values; `Experiment.of(**settings)` is the inverse."""
        settings: dict[str, Any] = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }
        return settings | settings.pop("options")

    def info(self, task: Task) -> dict[str, str]:
        """Return the metadata of a network that this run has unlearned, which `sgu audit` reads:
        the settings, the classes by name, and the content of the data and of the splits."""
        return {
            "settings": json.dumps(self.settings()),
            "forgotten": self.forgetting().of(task.source),
            "data_fingerprint": task.source.fingerprint,
            "split_digest": task.splits.digest,
        }

    def unlearner(self) -> Method:
        """Return the method with its settings. Raises ValueError for an unknown setting."""
        method = method_class(self.method)
        names = [field.name for field in fields(method)]
        for name in self.options:
            if name not in names:
                close = difflib.get_close_matches(name, [*names, *vars(self)], n=2)
                guess = f" (did you mean {', '.join(close)}?)" if close else ""
                known = ", ".join(names)
                raise ValueError(f"{self.method} has no setting {name!r}: it has {known}{guess}")
        return method(**self.options)

    def forgetting(self) -> Scenario:
        """Return what is to be forgotten. Raises ValueError if its settings contradict."""
        return Scenario(**{field.name: getattr(self, field.name) for field in fields(Scenario)})

    def task(
        self, cache: Path = CACHE, on_epoch: Progress | None = None, source: Source | None = None
    ) -> Task:
        """Return the data with their splits, on the CPU.

        Scenarios of memorised examples train networks for that, kept in `cache`; on_epoch is
        called with the epochs of that training, so far and in all. source: the data, if they are
        loaded already.
        """
        if self.original and self.holdout:
            warnings.warn(
                f"holdout = {self.holdout}: what is held out judges original only if that was not "
                "trained on it: rather give images that it never saw, as a part test",
                stacklevel=2,
            )
        return Task.load(
            source or self.data,
            subset=self.subset,
            classes=self.classes,
            holdout=self.holdout,
            skip_corrupt=self.skip_corrupt,
            audit=self.audit,
            halved=self.halved,
            seed=self.seed,
            memorisation=lambda source: memorisation(
                source, self.model, self.seed, cache, self.pretrain_epochs, on_epoch=on_epoch
            ),
            forget=self.forget,
            **asdict(self.forgetting()),
        )

    def preprocessing(self) -> Preprocessing:
        """Return how the original is fed: as stated, else as its file says, else as all others."""
        return self.preprocessing_of(Path(self.original)) if self.original else Preprocessing()

    def preprocessing_of(self, path: Path) -> Preprocessing:
        """Return how a file's network is fed: as stated, else as the file says."""
        stated = Preprocessing(self.mean, self.std, self.size)  # type: ignore[arg-type]
        return stated or read_preprocessing(path)

    def network(self, source: Source) -> nn.Module:
        """Return a new network of the architecture of the original, on the CPU."""
        return network_for(self.model, source, self.seed, self.preprocessing())

    def recipe(self, kind: Kind, task: Task) -> Recipe:
        """Return the recipe of the original or the retrained model."""
        what = recipe(kind, self.model, task, self.seed, self.pretrain_epochs)
        if kind != "original" or not self.original:
            return what
        if complaint := trained_elsewhere(read_info(Path(self.original)), what.data_fingerprint):
            warnings.warn(f"original = {self.original} {complaint}: give its own", stacklevel=2)
        return replace(what, weights=Path(self.original), fed=self.preprocessing())

    def reference(
        self, kind: Kind, task: Task, cache: Path = CACHE, on_epoch: EpochReport | None = None
    ) -> Network:
        """Return the original or the retrained model, from the cache or after training it.

        It is on the GPU if there is one. on_epoch: called after each epoch of a training.
        """
        return reference(self.recipe(kind, task), task, cache, default_device(), on_epoch)

    def control(self) -> Experiment:
        """Return the same experiment without the game; for `sg`, fine-tuning."""
        method = "finetune" if self.method == GAME else self.method.removeprefix(OVER)
        return replace(self, method=method, alpha=0.0)

    def _view(self, unlearner: Method) -> View:
        """Return what the auditor sees where nothing else is asked for."""
        calibrated = plays(self.method) and unlearner.has_reference
        return "calibrated" if calibrated else "logits+loss"

    def game(self) -> Game | None:
        """Return the rules of the game, or None for a method without one."""
        if not plays(self.method):
            return None
        return Game(
            alpha=self.alpha,
            auditor=AUDITORS[self.auditor](self),
            solve_every=self.solve_every,
            update=self.update,
            folds=self.folds,
            repeats=self.repeats,
            view=self.view or self._view(self.unlearner()),
            statistics=self.statistics,
            audit_batch=self.audit_batch,
            warm_start=self.warm_start,
            lr=self.game_lr,
        )


SETTINGS = frozenset(field.name for field in fields(Experiment)) - {"options"}
DATA_SETTINGS = {
    "data", "subset", "classes", "holdout", "skip_corrupt", "audit", "halved", "scenario",
    "forget_fraction", "forget_classes", "requests", "forget",
}  # fmt: skip
ORIGINAL_SETTINGS = {"original", "mean", "std", "size"}
REFERENCE_SETTINGS = DATA_SETTINGS | ORIGINAL_SETTINGS | {"model", "pretrain_epochs", "seed"}
"""What decides the task, the original and the retrained model."""

AUDITORS: dict[str, Callable[[Experiment], Auditor]] = {
    "linear": lambda e: LinearAuditor(loss=e.loss, penalty=e.penalty, reg=e.reg),
    "cvxpy": lambda e: CvxpyAuditor(loss=e.loss, penalty=e.penalty, reg=e.reg),
    "mlp": lambda e: MLPAuditor(reg=e.reg),
}
