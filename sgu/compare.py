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
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from torch import nn

from sgu.auditor import AuditorError
from sgu.evaluation import all_metrics, context
from sgu.experiment import REFERENCE_SETTINGS, SETTINGS, Experiment
from sgu.feasible import check_feasible
from sgu.files.atomic import atomic_write
from sgu.host.provenance import Started, code_version
from sgu.methods import method_class, plays
from sgu.metrics import against_retrained
from sgu.networks.recipe import Kind
from sgu.results.rows import Row, result_row, stored
from sgu.results.schema import TRIALS
from sgu.task import Task
from sgu.training.inference import default_device
from sgu.training.loop import Diverged
from sgu.unlearning import unlearn

Say = Callable[[str], None]


def experiments_of(methods: Sequence[str], settings: Mapping[str, Any]) -> list[Experiment]:
    """Return an experiment for each method: as published, with those of the settings it has.

    Raises ValueError for a setting that none of the methods has.
    """
    chosen = {method: _known(method, settings) for method in map(str.strip, methods)}
    for name in settings:
        if not any(name in known for known in chosen.values()):
            raise ValueError(f"no method has a setting {name!r}: see `sgu methods`")
    return [Experiment.of(**known | {"method": method}) for method, known in chosen.items()]


def _known(method: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a method has; epochs only if it trains or plays the game."""
    published: dict[str, Any] = {f.name: f.default for f in fields(method_class(method))}
    names = SETTINGS | published.keys()
    if published["epochs"] == 0 and not plays(method):
        names -= {"epochs"}
    return {name: value for name, value in settings.items() if name in names}


def comparison(experiments: Sequence[Experiment], out: Path, cache: Path, say: Say) -> list[Row]:
    """Return the rows of the original, the retrained model and each experiment.

    experiments: on one task, with one seed; out: the folder of the rows; say: called with a line
    for each run that ends.
    """
    base = Experiment(**{name: getattr(experiments[0], name) for name in REFERENCE_SETTINGS})
    task, rows = base.task(cache).to(default_device()), list[Row]()
    for experiment in experiments:
        check_feasible(experiment, task)
    runs: list[tuple[Experiment, Kind | None]] = [(base, "retrain"), (base, "original")]
    for experiment, kind in [*runs, *((experiment, None) for experiment in experiments)]:
        path = out / "trials" / f"{_name(experiment, kind, task)}.parquet"
        if path.is_file():
            rows += pq.read_table(path).to_pylist()
            continue
        settings = experiment.settings()
        measured = _measured(experiment, kind, task, cache, rows[0] if rows else None)
        shared = context(settings, task)
        row = result_row(settings, shared, measured, reference=kind, trial_id=path.stem)
        rows.append(stored(row, out.name))
        with atomic_write(path) as unfinished:
            pq.write_table(pa.Table.from_pylist(rows[-1:], TRIALS), unfinished)
        say(_line(rows[-1]))
    retrained, original, *unlearned = rows
    return [original, retrained, *unlearned]


def _name(experiment: Experiment, kind: Kind | None, task: Task) -> str:
    """Return the name of a run's row, which settings, code, data and splits decide."""
    settings = experiment.settings() | {"data": task.source.fingerprint}  # whatever it is called
    if experiment.original:
        settings["original"] = experiment.recipe("original", task).digest
    content = [settings, task.splits.digest, code_version()[0]]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
    return f"{kind or experiment.method}-seed{experiment.seed}-{digest}"


def _measured(
    experiment: Experiment, kind: Kind | None, task: Task, cache: Path, retrained: Row | None
) -> Row:
    """Return what was measured of a reference, or of a method's run from the original."""
    started, trained = Started(), experiment.reference(kind or "original", task, cache)
    if kind:
        measured = all_metrics(trained.model, task) | {"seconds": trained.seconds}
    else:
        measured = _unlearned(experiment, task, trained.model)
    if retrained and "status" not in measured:
        measured |= against_retrained(measured, retrained)
    return measured | started.provenance(default_device())


def _unlearned(experiment: Experiment, task: Task, original: nn.Module) -> Row:
    """Return the metrics of a run, or why it failed."""
    try:
        outcome = unlearn(experiment, task, original)
    except (Diverged, AuditorError, ValueError) as error:
        return {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
    return outcome.metrics | {"unsolved": outcome.unsolved}


def _line(row: Row) -> str:
    if row["status"] == "failed":
        return f"{row['trial_id']} failed: {row['reason']}"
    return (
        f"{row['trial_id']}: val accuracy {row['val_acc']:.3f}, "
        f"val MIA accuracy {row['val_mia_acc']:.3f}, {row['seconds']:.1f} s"
    )
