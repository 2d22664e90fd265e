"""What a result row holds: every metric's meaning and direction, and the typed Parquet columns.

`tune` writes by this file and the rest of `analysis` reads by it; nothing else defines a column.
A hypervolume is only comparable when its reference point was fixed before the study, so each
metric carries its own (the worst value that counts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

SCHEMA_VERSION = 3

REFERENCES = ("original", "retrain")
"""Methods that are controls, not candidates: never part of a front."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One measured quantity: its direction, the hypervolume's reference and what it means."""

    name: str
    goal: Literal["min", "max"]
    reference: float
    title: str
    unit: str = ""
    reads_test: bool = False
    """True if the test split enters it; such a metric is reported and never selects."""
    target: Literal["retrained"] | None = None
    """Where the best value is neither end: that of the retrained model. `goal` then only says how
    it is shown; as an objective it would reward over-forgetting."""

    @property
    def sign(self) -> int:
        """Multiplier that makes smaller better."""
        return 1 if self.goal == "min" else -1


def _metrics(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


METRICS = _metrics(
    Metric(name="val_error", goal="min", reference=1.0, title="validation error"),
    Metric(name="val_acc", goal="max", reference=0.0, title="validation accuracy"),
    Metric(name="retain_acc", goal="max", reference=0.0, title="retain accuracy (RA)"),
    Metric(
        name="forget_acc",
        goal="min",
        reference=1.0,
        title="forget accuracy (FA)",
        target="retrained",
    ),
    Metric(name="test_acc", goal="max", reference=0.0, title="test accuracy (TA)", reads_test=True),
    Metric(name="forget_test_gap", goal="min", reference=1.0, title="|FA - TA|", reads_test=True),
    Metric(name="val_mia_acc", goal="min", reference=1.0, title="attack accuracy, forget vs val"),
    Metric(name="val_mia_auc", goal="min", reference=1.0, title="attack AUC, forget vs val"),
    Metric(name="val_mia_f1", goal="min", reference=1.0, title="attack F1, forget vs val"),
    Metric(
        name="val_mia_advantage",
        goal="min",
        reference=1.0,
        title="attack advantage |2 acc - 1|, forget vs val",
    ),
    Metric(
        name="mia_acc",
        goal="min",
        reference=1.0,
        title="attack accuracy, forget vs test",
        reads_test=True,
    ),
    Metric(
        name="mia_auc",
        goal="min",
        reference=1.0,
        title="attack AUC, forget vs test",
        reads_test=True,
    ),
    Metric(
        name="mia_f1", goal="min", reference=1.0, title="attack F1, forget vs test", reads_test=True
    ),
    Metric(
        name="mia_advantage",
        goal="min",
        reference=1.0,
        title="attack advantage |2 acc - 1|, forget vs test",
        reads_test=True,
    ),
    Metric(
        name="ks",
        goal="min",
        reference=1.0,
        title="KS distance of losses, forget vs test",
        reads_test=True,
    ),
    Metric(name="ks_p", goal="max", reference=0.0, title="KS p-value", reads_test=True),
    Metric(
        name="wasserstein",
        goal="min",
        reference=10.0,
        title="W1 distance of losses, forget vs test",
        unit="nats",
        reads_test=True,
    ),
    Metric(
        name="utility_paper",
        goal="max",
        reference=-1.0,
        title="val_acc - mia_acc (the paper's)",
        reads_test=True,
    ),
    Metric(
        name="tpr_at_1",
        goal="min",
        reference=1.0,
        title="TPR of the loss at 1 % FPR, forget vs test",
        reads_test=True,
    ),
    Metric(
        name="tpr_at_01",
        goal="min",
        reference=1.0,
        title="TPR of the loss at 0.1 % FPR, forget vs test",
        reads_test=True,
    ),
    Metric(
        name="avg_gap",
        goal="min",
        reference=1.0,
        title="mean |gap to retrained| of RA, FA, TA, mia_acc",
        reads_test=True,
    ),
    Metric(
        name="tow",
        goal="max",
        reference=0.0,
        title="tug of war: (1-|dFA|)(1-|dRA|)(1-|dTA|), d to retrained",
        reads_test=True,
    ),
    Metric(
        name="rmia_auc",
        goal="min",
        reference=1.0,
        title="AUC of offline RMIA, forget vs test",
        reads_test=True,
    ),
    Metric(
        name="lira_auc",
        goal="min",
        reference=1.0,
        title="AUC of offline LiRA, forget vs test",
        reads_test=True,
    ),
    Metric(
        name="u_lira_auc",
        goal="min",
        reference=1.0,
        title="AUC of U-LiRA, forget vs test",
        reads_test=True,
    ),
    Metric(
        name="klom",
        goal="min",
        reference=10.0,
        title="KLoM on forget, mean over examples",
        unit="nats",
    ),
    Metric(
        name="relearn_steps",
        goal="max",
        reference=0.0,
        title="steps to relearn forget",
        unit="steps",
        target="retrained",
    ),
    Metric(name="seconds", goal="min", reference=3600.0, title="unlearning time", unit="s"),
    Metric(name="game_seconds", goal="min", reference=3600.0, title="time in the game", unit="s"),
    Metric(
        name="solve_seconds",
        goal="min",
        reference=3600.0,
        title="time solving the auditor",
        unit="s",
    ),
    Metric(
        name="examples_seen",
        goal="min",
        reference=1e9,
        title="examples through the network, forward and backward",
        unit="examples",
    ),
    Metric(name="peak_memory", goal="min", reference=1e6, title="peak memory", unit="MiB"),
)

SELECTABLE = tuple(name for name, metric in METRICS.items() if not metric.reads_test)
"""Metrics a search or a choice may use: none of them reads the test split."""

STATUSES = ("complete", "pruned", "failed")

PHASES = ("search", "confirm", "scaling")
"""What a row was run for: proposed by a search (and its controls), the front on fresh seeds, or a
sweep of sizes. Fronts are made of search rows."""

KEY = ("study", "cell", "trial_id", "seed")
"""What tells rows apart, and attempts at one row together. A trial is a configuration; run with
several seeds, it has a row for each."""

_IDENTITY = [
    ("schema_version", pa.int32()),
    ("study", pa.string()),
    ("cell", pa.string()),  # data/method, or the data alone for references
    ("trial_id", pa.string()),  # a number; original, retrain, and retrain-1, ... of the null band
    ("seed", pa.int64()),
    ("phase", pa.string()),
    ("attempt", pa.int32()),
]
_CONFIGURATION = [
    ("dataset", pa.string()),
    ("model", pa.string()),
    ("scenario", pa.string()),
    ("requests", pa.int32()),
    ("forget_fraction", pa.float64()),
    ("method", pa.string()),
    ("alpha", pa.float64()),
    ("reg", pa.float64()),
    ("solve_every", pa.int64()),  # optimiser steps; "epoch" is stored as the steps of one
    ("update", pa.string()),
]
_PROVENANCE = [
    ("control", pa.bool_()),  # enqueued by the study itself, not suggested by the sampler
    ("unsolved", pa.int64()),  # auditor problems that missed their tolerance or were void
    ("config", pa.string()),  # JSON, everything needed to run this trial again
    ("code_version", pa.string()),
    ("code_dirty", pa.bool_()),
    ("data_fingerprint", pa.string()),
    ("split_digest", pa.string()),
    ("original_digest", pa.string()),
    ("device", pa.string()),
    ("threads", pa.int32()),
    ("host", pa.string()),
    ("versions", pa.string()),  # JSON
    ("started", pa.timestamp("us", tz="UTC")),
    ("wall_seconds", pa.float64()),
    ("device_seconds", pa.float64()),  # busy on the device; null on a CPU
    ("host_class", pa.string()),  # processor, cores and memory, such as "x86_64, 2 cores, 24 GiB"
]

TRIALS = pa.schema(
    [
        *_IDENTITY,
        ("status", pa.string()),
        ("reason", pa.string()),
        *_CONFIGURATION,
        ("train_examples", pa.int64()),  # retain and forget
        ("classes", pa.int64()),
        ("audit_examples", pa.int64()),  # held-out ones that the game may take
        ("workers", pa.int64()),  # trials at a time
        *((name, pa.float64()) for name in METRICS),
        ("suppressed", pa.string()),  # JSON: why a metric is null, by its name; of tpr_at_* alone
        *_PROVENANCE,
    ]
)
"""One row a trial; a metric is null where the trial did not reach it, or where `suppressed` says
why."""

REQUIRED = ("schema_version", "study", "trial_id", "attempt")
"""Columns without which a file is not one of ours; any other that it lacks is null."""

EPOCHS = pa.schema(
    [
        *_IDENTITY,
        ("epoch", pa.int32()),
        ("train_loss", pa.float64()),  # the method's own, mean over the epoch's batches
        ("utility", pa.float64()),  # auditor's, mean over the epoch's solves; null without a game
        ("solves", pa.int32()),
        ("unsolved", pa.int64()),
        *((name, pa.float64()) for name in METRICS if not METRICS[name].reads_test),
    ]
)
"""One row a report of a trial; the test split is left for the last one, in `TRIALS`."""

LOSSES = pa.schema(
    [
        *_IDENTITY,
        ("split", pa.string()),  # forget, val or test
        ("low", pa.float64()),  # nats
        ("high", pa.float64()),
        ("count", pa.int64()),  # examples of a loss from low to high
    ]
)
"""One row a bin of the histogram of a finished trial's or control's losses on a split."""
