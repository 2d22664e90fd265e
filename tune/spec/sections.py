"""A specification as it is written: its keys, their types and their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, model_validator

from sgu.results.verdicts import FEWEST_MODELS
from tune.spec.space import Space, Strict

Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+@-]*$")]
Trials = Annotated[int, Field(ge=1)]
Seconds = Annotated[FiniteFloat, Field(gt=0)]


class Section(BaseModel):
    """Settings of an experiment beside keys of its own. name: its name in rows."""

    model_config = ConfigDict(extra="allow", frozen=True, coerce_numbers_to_str=True)

    name: Label | None = None

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class DataSet(Section):
    """A source or folder, with settings (model, subset, scenario, epochs, ...) and a budget that
    replace the study's on it. workers: the number of its runs at a time, with no others beside them
    (None: as many as the study's slots)."""

    data: str
    trials: Trials | None = None
    seconds: Seconds | None = None
    workers: Annotated[int, Field(ge=1)] | None = None

    @property
    def label(self) -> str:
        return self.name or folder_name(self.data)


class MethodUsed(Section):
    """A method, with settings and a search space of its own."""

    method: str
    search: Space | None = None

    @property
    def label(self) -> str:
        return self.name or self.method


def folder_name(data: str) -> str:
    """Return the name of a source, or of the folder at a path or an address."""
    path = data.split("?")[0] if "://" in data else data
    name = path.rstrip("/").rsplit("/", 1)[-1]
    return Path(path).resolve().name if name in ("", ".", "..") else name


def _many(key: str) -> BeforeValidator:
    """Return a validator that reads one or many sections, each a name or a mapping."""

    def listed(value: Any) -> Any:
        many = value if isinstance(value, list | tuple) else [value]
        sections = [{key: entry} if isinstance(entry, str) else entry for entry in many]
        for entry in sections:
            if not isinstance(entry, Section) and not (isinstance(entry, dict) and key in entry):
                raise ValueError(f"{entry!r} must be a name, or a mapping with {key}")
        return sections

    return BeforeValidator(listed)


DataSets = Annotated[tuple[DataSet, ...], _many("data")]
MethodsUsed = Annotated[tuple[MethodUsed, ...], _many("method")]


class Bound(Strict):
    """A bound on a metric's mean over the seeds. above: the reference from whose mean over the same
    seeds it is measured, as in "at most 0.02 above retrain"."""

    at_most: FiniteFloat | None = None
    at_least: FiniteFloat | None = None
    above: Literal["original", "retrain"] | None = None

    @model_validator(mode="after")
    def _has_an_end(self) -> Bound:
        if self.at_most is None and self.at_least is None:
            raise ValueError("needs at_most or at_least (with above: original or retrain)")
        return self

    def excess(self, value: float) -> float:
        """Return by how much a value (minus the reference's) exceeds the bound; <= 0 if kept."""
        over = [value - self.at_most] if self.at_most is not None else []
        under = [self.at_least - value] if self.at_least is not None else []
        return max(over + under)


class Asha(Strict):
    """Stops runs early, asynchronously: after grace * factor^k epochs, k = 0, 1, ..., a run goes on
    only if fewer than 1 / factor of those that got there are on a better front."""

    grace: Annotated[int, Field(ge=1)] = 1
    factor: Annotated[int, Field(ge=2)] = 3


class Scheduler(Strict):
    """asha: how runs are stopped early; None: every run goes to its end."""

    asha: Asha | None = None


class Tracking(Strict):
    """Where trials are logged beside their rows (`tune.tracking`). tensorboard: as events in the
    study's folder; mlflow: the address of a tracking server or store."""

    tensorboard: bool = False
    mlflow: Annotated[str, Field(min_length=1)] | None = None

    def __bool__(self) -> bool:
        return self.tensorboard or self.mlflow is not None


FEWEST_ORACLES = FEWEST_MODELS - 1
"""Beside the retrained model of the study's own seed, for `val_residual`."""
WITHOUT_RESIDUAL = ("val_error", "val_mia_advantage")


def _objectives(written: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the objectives by default. written: the fields above, where they are right."""
    enough = written.get("oracles", 0) >= FEWEST_ORACLES
    return ("val_error", "val_residual") if enough else WITHOUT_RESIDUAL


class WrittenSpec(Strict):
    """A specification as written: what to search, on which data, by which methods, how much.

    data, methods: one or many; each pair is a cell with a search of its own. experiment: settings
    that all trials share (see `sgu.experiment.Experiment`, and `sgu methods` for each method's).
    search: the domains of other settings (default: the method's own space, and the game's if it is
    played). objectives: two or more metrics measured on val (default: val_error and val_residual;
    where the oracles leave that unknown, val_mia_advantage in its place). seeds:
    runs of each configuration, from the experiment's seed on; the sampler sees their mean. trials,
    seconds: for each cell, the number of trials that the sampler proposes and the time they may
    take together, controls apart; the one that is reached first ends the search. sampler: "grid"
    tries each point of the domains once, all of them unless trials is smaller. constraints: bounds
    on metrics. slots: trials at a time (None: as many as there is room for). oracles: further
    retrained models, for null bands and verdicts; shadows: shadow models, which attack each trial
    (rmia_auc, lira_auc). tracking: TensorBoard and MLflow, beside the rows. phase: "scaling" runs
    only the controls of each cell, and the data sets are sizes; see `tune.spec.sweeps`.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    experiment: dict[str, Any] = Field(default_factory=dict)
    data: DataSets = ()
    methods: MethodsUsed = ()
    search: Space = Field(default_factory=dict)
    oracles: Annotated[int, Field(ge=0)] = 3
    objectives: tuple[str, ...] = Field(default_factory=_objectives)
    constraints: dict[str, Bound] = Field(default_factory=dict)
    seeds: Annotated[int, Field(ge=1)] = 1
    trials: Trials | None = None
    seconds: Seconds | None = None
    sampler: Literal["tpe", "nsga2", "nsga3", "gp", "qmc", "random", "grid"] = "tpe"
    sampler_seed: int = 0
    scheduler: Scheduler = Scheduler()
    shadows: Annotated[int, Field(ge=0)] = 0
    slots: Annotated[int, Field(ge=1)] | None = None
    cpus_per_trial: Annotated[FiniteFloat, Field(gt=0)] = 1
    gpus_per_trial: Annotated[FiniteFloat, Field(ge=0)] = 0
    phase: Literal["search", "scaling"] = "search"
    storage: Annotated[str, Field(min_length=1)] | None = None
    tracking: Tracking = Tracking()
