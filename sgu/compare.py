"""All methods side by side on one data set: the same tries for each, the choice by val alone.

Of each method the published settings and `tries` - 1 draws from its search space are run with the
first seed; the one of the highest val utility is run with all other seeds and reported. Every run
is a row of its own in a Parquet file the moment it ends, so a stopped comparison goes on where it
was; the columns are those of `sgu.results.schema`, and `analysis.load_study` reads the folder.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import qmc

from sgu.auditor import AuditorError
from sgu.evaluation import all_metrics, context
from sgu.experiment import SETTINGS, Experiment
from sgu.files.atomic import atomic_write
from sgu.host.provenance import Started, code_version
from sgu.methods import method_class, plays, search_space
from sgu.metrics import against_retrained
from sgu.networks.references import Kind, Reference, recipe, reference
from sgu.results.rows import Row, result_row, stored
from sgu.results.schema import TRIALS
from sgu.task import Task
from sgu.training.inference import default_device
from sgu.training.loop import Diverged
from sgu.unlearning import unlearn

KINDS: tuple[Kind, Kind] = ("original", "retrain")
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared. base: data, model and game of all; methods: their names; options: settings
    that hold for every method that has them (epochs: for those that train); seeds: how many, from
    the base's on; tries: configurations of each method; out: the folder of the rows."""

    base: Experiment
    methods: tuple[str, ...]
    seeds: int = 2
    options: Mapping[str, Any] = field(default_factory=dict)
    tries: int = 4
    out: Path = Path("results/compare")
    cache: Path = Path("results/cache")

    def __post_init__(self) -> None:
        known = set[str]().union(*map(_published, self.methods))
        for name in self.options:
            if name not in known:
                raise ValueError(f"no method has a setting {name!r}; see `sgu methods`")
        for name in ("seeds", "tries"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be >= 1")

    def configurations(self, method: str) -> list[Experiment]:
        """As published, with the base's game; then draws from the method's space."""
        shared: dict[str, Any] = {name: getattr(self.base, name) for name in SETTINGS}
        own = {name: self.options[name] for name in self.options if self._holds(name, method)}
        drawn = [{}, *draws(search_space(method), self.tries - 1, self.base.seed)]
        return [Experiment.of(**shared | {"method": method} | each | own) for each in drawn]

    def _holds(self, option: str, method: str) -> bool:
        """Whether an option is one of the method's; epochs are not where it trains none."""
        published = _published(method)
        trains = published["epochs"] > 0 or plays(method)
        return option in published and (option != "epochs" or trains)

    def run(self, say: Say) -> list[Row]:
        """The rows of the references and of each method's chosen configuration, seed by seed."""
        stages = [Stage(self, self.base.seed + number, say) for number in range(self.seeds)]
        rows = [row for stage in stages for row in stage.references()]
        for method in self.methods:
            tried = self.configurations(method)
            found = [stages[0].row(tried[k], f"{method}-{k}") for k in range(len(tried))]
            best = max(range(len(tried)), key=lambda k: val_utility(found[k]))
            rows += [stage.row(tried[best], f"{method}-{best}") for stage in stages]
        return rows


def _published(method: str) -> dict[str, Any]:
    """The settings of a method, as published."""
    return {each.name: each.default for each in fields(method_class(method))}


class Stage:
    """Everything of one seed: its task and references, made when first needed, and its rows."""

    def __init__(self, comparison: Comparison, seed: int, say: Say):
        self.comparison, self.seed, self.say = comparison, seed, say
        self.device = default_device()
        self.base = replace(comparison.base, seed=seed)

    @cached_property
    def task(self) -> Task:
        return self.base.task(self.comparison.cache).to(self.device)

    @cached_property
    def models(self) -> dict[Kind, Reference]:
        made = {}
        for kind in KINDS:
            what = recipe(kind, self.base.model, self.task, self.seed, self.base.pretrain_epochs)
            made[kind] = reference(what, self.task, self.comparison.cache, self.device)
            self.say(f"{kind}, seed {self.seed}: {made[kind].seconds:.0f} s of training")
        return made

    @cached_property
    def retrained(self) -> dict[str, float]:
        """The retrained model's metrics."""
        return all_metrics(self.models["retrain"].model, self.task)

    def references(self) -> list[Row]:
        """The rows of the original and the retrained model."""
        return [self._kept(kind, kind, self.base, partial(self._measured, kind)) for kind in KINDS]

    def row(self, experiment: Experiment, name: str) -> Row:
        """The row of an experiment with this seed: read where it is there, else measured."""
        own = replace(experiment, seed=self.seed)
        return self._kept(name, None, own, lambda: self._unlearned(own))

    def _kept(
        self, name: str, kind: Kind | None, own: Experiment, measure: Callable[[], Row]
    ) -> Row:
        settings = own.settings()
        config = json.dumps(settings, sort_keys=True)
        digest = hashlib.sha256(f"{config} {code_version()[0]}".encode()).hexdigest()[:6]
        path = self.comparison.out / "trials" / f"{name}-seed{self.seed}-{digest}.parquet"
        if path.is_file():
            (row,) = pq.read_table(path).to_pylist()
            return row
        begin = Started()
        measured = measure() | begin.provenance(self.device)
        shared = context(settings, self.task)
        row = result_row(settings, shared, measured, reference=kind, trial_id=path.stem)
        row = stored(row, self.comparison.out.name)
        with atomic_write(path) as unfinished:
            pq.write_table(pa.Table.from_pylist([row], schema=TRIALS), unfinished)
        self.say(_line(row))
        return row

    def _measured(self, kind: Kind) -> Row:
        """A reference's metrics; the retrained model has no distance from itself."""
        cost = {"seconds": self.models[kind].seconds}
        if kind == "retrain":
            return self.retrained | cost
        found = all_metrics(self.models[kind].model, self.task)
        return found | against_retrained(found, self.retrained) | cost

    def _unlearned(self, experiment: Experiment) -> Row:
        try:
            outcome = unlearn(experiment, self.task, self.models["original"].model)
        except (Diverged, AuditorError, ValueError) as error:
            return {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
        gap = against_retrained(outcome.metrics, self.retrained)
        return outcome.metrics | gap | {"unsolved": outcome.unsolved}


def _line(row: Row) -> str:
    """A row in one line."""
    if row["status"] == "failed":
        return f"{row['trial_id']} failed: {row['reason']}"
    return (
        f"{row['trial_id']}: val accuracy {row['val_acc']:.3f}, "
        f"val MIA accuracy {row['val_mia_acc']:.3f}, {row['seconds']:.1f} s"
    )


def draws(space: Mapping[str, Any], count: int, seed: int) -> list[dict[str, Any]]:
    """`count` configurations from a search space, spread evenly over it (scrambled Halton)."""
    if not space or not count:
        return []
    points = qmc.Halton(len(space), rng=seed).random(count)
    return [
        {name: _at(domain, u) for (name, domain), u in zip(space.items(), point, strict=True)}
        for point in points
    ]


def _at(domain: Any, u: float) -> Any:
    """The value at the share u of a domain."""
    if isinstance(domain, list):
        return domain[min(int(u * len(domain)), len(domain) - 1)]
    low, high, step = domain["low"], domain["high"], domain.get("step")
    if domain.get("log"):
        return float(low * (high / low) ** u)
    if step:
        return int(low + step * min(int(u * ((high - low) // step + 1)), (high - low) // step))
    return float(low + u * (high - low))


def val_utility(row: Row) -> float:
    """val_acc - max(mia, 1 - mia) on val: the paper's utility, where over-forgetting costs too."""
    mia = row.get("val_mia_acc")
    return -math.inf if mia is None else row["val_acc"] - max(mia, 1 - mia)
