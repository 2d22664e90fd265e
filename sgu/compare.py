"""Several methods side by side on one task, beside the original and the retrained model.

Every run is a row in a Parquet file of its own the moment it ends, and a comparison that was
stopped reads the rows of finished runs. The columns are those of `sgu.results.schema`, and
`analysis.load_study` reads the folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sgu.auditor import AuditorError
from sgu.evaluation import all_metrics
from sgu.experiment import SETTINGS, Experiment
from sgu.files.atomic import atomic_write
from sgu.host.provenance import code_version
from sgu.methods import method_class, plays
from sgu.metrics import against_retrained
from sgu.networks.references import Kind, Reference
from sgu.results.schema import SCHEMA_VERSION
from sgu.rows import ROW, Row, Started, cell, context, described
from sgu.task import Task
from sgu.training.inference import default_device
from sgu.training.loop import Diverged
from sgu.unlearning import unlearn

KINDS: tuple[Kind, Kind] = ("original", "retrain")
Say = Callable[[str], None]


def experiments_of(methods: Sequence[str], settings: Mapping[str, Any]) -> list[Experiment]:
    """Return an experiment for each method: as published, with those of the settings it has.

    Raises ValueError for a setting that none of the methods has.
    """
    known = {method.strip(): _settings_of(method.strip()) for method in methods}
    for name in settings:
        if not any(name in names for names in known.values()):
            raise ValueError(f"no method has a setting {name!r}; see `sgu methods`")
    return [
        Experiment.of(
            **{name: settings[name] for name in settings if name in names} | {"method": method}
        )
        for method, names in known.items()
    ]


def _settings_of(method: str) -> frozenset[str]:
    """Return the settings that a method has; epochs only if it trains or plays the game."""
    published: dict[str, Any] = {f.name: f.default for f in fields(method_class(method))}
    trains = published["epochs"] > 0 or plays(method)
    return SETTINGS | published.keys() - (set() if trains else {"epochs"})


def comparison(experiments: Sequence[Experiment], out: Path, cache: Path, say: Say) -> list[Row]:
    """Return the rows of experiments on one task, with one seed, after those of the references.

    out: the folder of the rows; say: called with a line for each run that ends.
    """
    stage = Stage(experiments[0], cache)
    rows = [_finished(experiments[0], kind, stage, out, say) for kind in KINDS]
    return rows + [_finished(experiment, None, stage, out, say) for experiment in experiments]


class Stage:
    """What the runs with one seed share: their task and both references, made when needed."""

    def __init__(self, base: Experiment, cache: Path):
        self.base, self.cache = base, cache

    @cached_property
    def task(self) -> Task:
        return self.base.task(self.cache).to(default_device())

    @cached_property
    def references(self) -> dict[Kind, Reference]:
        return {kind: self.base.reference(kind, self.task, self.cache) for kind in KINDS}

    @cached_property
    def retrained(self) -> dict[str, float]:
        """The metrics of the retrained model."""
        return all_metrics(self.references["retrain"].model, self.task)

    def measured(self, kind: Kind) -> Row:
        """Return the metrics of a reference; the retrained model has no distance from itself."""
        reference = self.references[kind]
        if kind == "retrain":
            return self.retrained | {"seconds": reference.seconds}
        metrics = all_metrics(reference.model, self.task)
        gap = against_retrained(metrics, self.retrained)
        return metrics | gap | {"seconds": reference.seconds}

    def unlearned(self, experiment: Experiment) -> Row:
        """Return the metrics of a run, or why it failed."""
        try:
            outcome = unlearn(experiment, self.task, self.references["original"].model)
        except (Diverged, AuditorError, ValueError) as error:
            return {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
        gap = against_retrained(outcome.metrics, self.retrained)
        return outcome.metrics | gap | {"unsolved": outcome.unsolved}


def _finished(experiment: Experiment, kind: Kind | None, stage: Stage, out: Path, say: Say) -> Row:
    """Return the row of a run, read if the run is finished, else measured and written."""
    config = json.dumps(experiment.settings(), sort_keys=True)
    digest = hashlib.sha256(f"{config} {code_version()[0]}".encode()).hexdigest()[:6]
    name = f"{kind or experiment.method}-seed{experiment.seed}-{digest}"
    path = out / "trials" / f"{name}.parquet"
    if path.is_file():
        return pq.read_table(path).to_pylist()[0]
    started = Started()
    measured = stage.measured(kind) if kind else stage.unlearned(experiment)
    measured |= started.provenance(default_device())
    row = _row(experiment, kind, stage.task, measured) | {"study": out.name, "trial_id": name}
    with atomic_write(path) as unfinished:
        pq.write_table(pa.Table.from_pylist([row]), unfinished)
    say(_line(row))
    return row


def _row(experiment: Experiment, kind: Kind | None, task: Task, measured: Row) -> Row:
    row = ROW | {"schema_version": SCHEMA_VERSION, "control": kind is not None}
    row |= described(experiment.settings(), kind) | context(experiment, task) | measured
    row["cell"] = cell(row["dataset"], row["method"])
    return row | {name: json.dumps(row[name], sort_keys=True) for name in ("config", "versions")}


def _line(row: Row) -> str:
    if row["status"] == "failed":
        return f"{row['trial_id']} failed: {row['reason']}"
    return (
        f"{row['trial_id']}: val accuracy {row['val_acc']:.3f}, "
        f"val MIA accuracy {row['val_mia_acc']:.3f}, {row['seconds']:.1f} s"
    )
