"""One unlearning run from its settings to its metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from sgu.auditor import Auditor, CvxpyAuditor, LinearAuditor, MLPAuditor
from sgu.checks import check
from sgu.data.sources import Source
from sgu.data.splits.scenarios import Scenario, ScenarioName
from sgu.game import Game
from sgu.methods import GAME, OVER, Method, method_class, plays
from sgu.models import pretraining
from sgu.networks.memorisation import Progress, memorisation
from sgu.task import Task


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The settings of one run, checked on construction; each is a column or in `config`.

    Data: data (a source's name or a folder), subset (train examples, None = all), classes (the
    first so many, None = all), audit (held-out examples for the game, None = two fifths of them),
    and who is forgotten: scenario, forget_fraction, forget_classes (one or several), requests; see
    Scenario.
    Model: model, pretrain_epochs (None = the model's own recipe). Unlearning: method (a name of
    METHODS, or sg+NAME), options (the method's own settings, of its optimisation too; what is left
    out is as published). Game (methods sg, sg+NAME): alpha, reg, solve_every, update, auditor,
    loss, penalty, view, statistics, folds, audit_batch (examples of both sides in a round; the 800
    of the embedded data all fit), warm_start, game_lr.
    seed: of the splits, the references, the batches and the game.
    """

    data: str = "embedded"
    subset: int | None = None
    classes: int | None = None
    audit: int | None = None
    scenario: ScenarioName = "random"
    forget_fraction: float = 0.1
    forget_classes: tuple[int, ...] | int = ()
    requests: int = 1
    model: str = "small_cnn"
    pretrain_epochs: int | None = None
    seed: int = 0
    method: str = "sg"
    options: Mapping[str, Any] = field(default_factory=dict)
    alpha: float = 1.0
    reg: float = 0.1
    solve_every: int | Literal["epoch"] = 8
    update: Literal["joint", "alternate"] = "joint"
    auditor: str = "linear"
    loss: Literal["hinge", "squared_hinge", "logistic"] = "hinge"
    penalty: Literal["l2", "l1"] = "l2"
    view: Literal["logits+loss", "loss"] = "logits+loss"
    statistics: Literal["batch", "running"] = "batch"
    folds: int = 3
    audit_batch: int | None = 1000
    warm_start: bool = False
    game_lr: float = 0.01

    def __post_init__(self) -> None:
        check(
            self,
            auditor=(self.auditor in AUDITORS, f"one of {', '.join(AUDITORS)}"),
            subset=(self.subset is None or self.subset > 0, "> 0, or none"),
            classes=(self.classes is None or self.classes >= 2, ">= 2, or none"),
            audit=(self.audit is None or self.audit > 0, "> 0, or none"),
            pretrain_epochs=(
                self.pretrain_epochs is None or self.pretrain_epochs >= 1,
                ">= 1, or none for the model's own number",
            ),
        )
        object.__setattr__(self, "forget_classes", self.asked().forget_classes)
        pretraining(self.model)
        unlearner, game = self.unlearner(), self.game()
        object.__setattr__(self, "options", asdict(unlearner))  # those left out, too
        if game and game.alpha > 0 and unlearner.epochs == 0:
            raise ValueError("epochs = 0: the game needs an epoch or more to be played in")

    @classmethod
    def of(cls, **settings: Any) -> Experiment:
        """From settings of its own and of its method, side by side; the inverse of `settings`."""
        own = {name: settings[name] for name in settings if name in SETTINGS}
        options = {name: settings[name] for name in settings if name not in SETTINGS}
        return cls(**own, options=options)

    def settings(self) -> dict[str, Any]:
        """Everything needed to run it again, as plain values: `Experiment.of(**settings)`."""
        own = asdict(self) | {"forget_classes": list(self.asked().forget_classes)}
        return own | own.pop("options")

    def unlearner(self) -> Method:
        """Its method with its settings. Raises ValueError for one that the method has not."""
        made = method_class(self.method)
        known = [field.name for field in fields(made)]
        for name in self.options:
            if name not in known:
                raise ValueError(
                    f"{self.method} has no setting {name!r}: it has {', '.join(known)}"
                )
        return made(**self.options)

    def asked(self) -> Scenario:
        """Who is to be forgotten. Raises ValueError where its settings do not go together."""
        return Scenario(**{each.name: getattr(self, each.name) for each in fields(Scenario)})

    def task(
        self,
        cache: Path = Path("results/cache"),
        on_epoch: Progress | None = None,
        source: Source | None = None,
    ) -> Task:
        """Its data, and who is forgotten.

        cache: where memorisation is kept, which the scenarios that ask for it train networks for;
        on_epoch: called with the epochs of that training, so far and in all; source: the data,
        where they are loaded already.
        """
        return Task.load(
            source or self.data,
            subset=self.subset,
            classes=self.classes,
            audit=self.audit,
            seed=self.seed,
            memorisation=lambda source: memorisation(
                source, self.model, self.seed, cache, self.pretrain_epochs, on_epoch=on_epoch
            ),
            **asdict(self.asked()),
        )

    def control(self) -> Experiment:
        """The same without a game: what carries it, alone; for `sg`, fine-tuning."""
        base = "finetune" if self.method == GAME else self.method.removeprefix(OVER)
        return replace(self, method=base, alpha=0.0)

    def game(self) -> Game | None:
        """The rules of its game; None for a method without one."""
        if not plays(self.method):
            return None
        auditor = AUDITORS[self.auditor](self)
        return Game(
            alpha=self.alpha,
            auditor=auditor,
            solve_every=self.solve_every,
            update=self.update,
            folds=self.folds,
            view=self.view,
            statistics=self.statistics,
            audit_batch=self.audit_batch,
            warm_start=self.warm_start,
            lr=self.game_lr,
        )


SETTINGS = frozenset(field.name for field in fields(Experiment)) - {"options"}
DATA_SETTINGS = {
    "data", "subset", "classes", "audit", "scenario", "forget_fraction", "forget_classes",
    "requests",
}  # fmt: skip

AUDITORS: dict[str, Callable[[Experiment], Auditor]] = {
    "linear": lambda e: LinearAuditor(loss=e.loss, penalty=e.penalty, reg=e.reg),
    "cvxpy": lambda e: CvxpyAuditor(loss=e.loss, penalty=e.penalty, reg=e.reg),
    "mlp": lambda e: MLPAuditor(reg=e.reg),
}
