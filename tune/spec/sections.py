"""The sections of a specification that name data sets and methods."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, model_validator

from tune.spec.space import Space, Strict

Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+@-]*$")]


Trials = Annotated[int, Field(ge=1)]


Seconds = Annotated[FiniteFloat, Field(gt=0)]


class Section(BaseModel):
    """Settings of an experiment beside keys of its own. name: what rows call it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Label | None = None

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class DataSet(Section):
    """A source or folder, with settings that hold on it in place of the experiment's (model,
    subset, scenario, epochs, ...), and its cells' budget in place of the study's. workers: so many
    of its runs at a time, and no others beside them (None: as the study's slots have it)."""

    data: str
    trials: Trials | None = None
    seconds: Seconds | None = None
    workers: Annotated[int, Field(ge=1)] | None = None

    @property
    def label(self) -> str:
        return self.name or self.data.rstrip("/").rsplit("/", 1)[-1]


class MethodUsed(Section):
    """A method, with settings that it alone has, and its search space."""

    method: str
    search: Space | None = None

    @property
    def label(self) -> str:
        return self.name or self.method


def _many(key: str) -> BeforeValidator:
    """One or many, each a word or a mapping."""

    def listed(value: Any) -> Any:
        many = value if isinstance(value, list | tuple) else [value]
        found = [{key: each} if isinstance(each, str) else each for each in many]
        for each in found:
            if not isinstance(each, Section) and not (isinstance(each, dict) and key in each):
                raise ValueError(f"{each!r} must be a name, or a mapping with {key}")
        return found

    return BeforeValidator(listed)


DataSets = Annotated[tuple[DataSet, ...], _many("data")]


MethodsUsed = Annotated[tuple[MethodUsed, ...], _many("method")]


class Bound(Strict):
    """What a metric's mean over the seeds must keep to. above: measured from that reference's
    value, with the same seeds; "at most 0.02 above retrain"."""

    at_most: FiniteFloat | None = None
    at_least: FiniteFloat | None = None
    above: Literal["original", "retrain"] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Bound:
        if self.at_most is None and self.at_least is None:
            raise ValueError("needs at_most or at_least (with above: original or retrain)")
        return self

    def excess(self, value: float) -> float:
        """How far a value, measured from the reference where there is one, is out; <= 0: kept."""
        over = [value - self.at_most] if self.at_most is not None else []
        under = [self.at_least - value] if self.at_least is not None else []
        return max(over + under)


class Asha(Strict):
    """Stops a run early, asynchronously: after grace * factor^k epochs, k = 0, 1, ..., one goes on
    only where fewer than a `factor`-th of those that came so far are of a better front."""

    grace: Annotated[int, Field(ge=1)] = 1
    factor: Annotated[int, Field(ge=2)] = 3


class Scheduler(Strict):
    """asha: without it, every trial runs to its end."""

    asha: Asha | None = None


class WrittenSpec(Strict):
    """What to search, on what, by what, and how much of it.

    data, methods: one or many; each pair is a cell with a search of its own. experiment: settings
    that all trials share (see `sgu.experiment.Experiment`, and `sgu methods` for those of a
    method). search: the domains of the others (without it: the method's own, and the game's where
    it is played). objectives: metrics measured on val, two or more. seeds: runs of each
    configuration, from the experiment's seed on; the sampler sees their mean. trials, seconds: of
    each cell, how many the sampler proposes and the time they may take together, controls apart;
    the first of the two that is reached ends it. sampler: "grid" tries each point of the domains
    once, all of them unless trials says fewer. constraints: bounds on metrics. slots: trials at a
    time (None: as many as there is room for). oracles: further retrained models, for the null band;
    shadows: shadow models, which give each trial rmia_auc and lira_auc. phase: "scaling" has the
    controls of each cell alone, the data sets being sizes; see `tune.spec.sweeps`.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    experiment: dict[str, Any] = Field(default_factory=dict)
    data: DataSets = ()
    methods: MethodsUsed = ()
    search: Space = Field(default_factory=dict)
    objectives: tuple[str, ...] = ("val_error", "val_mia_advantage")
    constraints: dict[str, Bound] = Field(default_factory=dict)
    seeds: Annotated[int, Field(ge=1)] = 1
    trials: Trials | None = None
    seconds: Seconds | None = None
    sampler: Literal["tpe", "nsga2", "nsga3", "gp", "qmc", "random", "grid"] = "tpe"
    sampler_seed: int = 0
    scheduler: Scheduler = Scheduler()
    oracles: Annotated[int, Field(ge=0)] = 3
    shadows: Annotated[int, Field(ge=0)] = 0
    slots: Annotated[int, Field(ge=1)] | None = None
    cpus_per_trial: Annotated[FiniteFloat, Field(gt=0)] = 1
    gpus_per_trial: Annotated[FiniteFloat, Field(ge=0)] = 0
    phase: Literal["search", "scaling"] = "search"
    storage: Annotated[str, Field(min_length=1)] | None = None
