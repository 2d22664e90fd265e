"""Columns of the result rows: the meaning and direction of every metric, and the Parquet schemas.

`tune` writes rows by this file and `analysis` reads them by it; no other file defines a column. A
hypervolume compares only with others from the same reference point, so each metric fixes its own
before any study: the worst value that counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

SCHEMA_VERSION = 3

REFERENCES = ("original", "retrain")
"""Methods that are controls, not candidates: never part of a front."""

GAME = ("alpha", "reg", "solve_every", "update")
"""Settings of the game that have columns of their own, in the order tables show them."""

GAME_SETTINGS = frozenset(GAME) | {
    "auditor", "loss", "penalty", "view", "statistics", "folds", "repeats", "audit_batch",
    "warm_start", "game_lr",
}  # fmt: skip
"""All settings of the game: a run without a game does not read them."""


@dataclass(frozen=True)
class Metric:
    """A measured quantity: its direction, its place in a hypervolume and its words.

    title: a label; meaning: a phrase that explains it; unit: empty for fractions; reads_test: True
    if the test split enters it, so that it is reported and never selects; target: set where the
    retrained model's value is best, not an end. `goal` then only says how it is shown; as an
    objective it would reward over-forgetting.
    """

    name: str
    goal: Literal["min", "max"]
    reference_point: float
    title: str
    meaning: str
    unit: str = ""
    reads_test: bool = False
    target: Literal["retrained"] | None = None

    @property
    def sign(self) -> int:
        """Multiplier that makes smaller better."""
        return 1 if self.goal == "min" else -1


def _attack(prefix: str, split: str) -> list[Metric]:
    """Return what the attack on the loss, of forget against a held-out split, is measured by."""
    against, reads_test = f"forget vs {split}", split == "test"
    quantities = {
        "acc": ("accuracy", "accuracy; .5 is a guess"),
        "auc": ("AUC", "area under the ROC curve"),
        "f1": ("F1", "F1"),
        "advantage": ("advantage |2 acc - 1|", "advantage, |2 accuracy - 1|"),
    }
    return [
        Metric(f"{prefix}_{name}", "min", 1.0, f"attack {title}, {against}",
               f"attack on the loss, {against}: {meaning}", reads_test=reads_test)
        for name, (title, meaning) in quantities.items()
    ]  # fmt: skip


_METRICS = (
    Metric("val_error", "min", 1.0, "validation error", "share of val that is misclassified"),
    Metric("val_acc", "max", 0.0, "validation accuracy", "accuracy on val"),
    Metric("retain_acc", "max", 0.0, "retain accuracy (RA)", "accuracy on retain"),
    Metric("forget_acc", "min", 1.0, "forget accuracy (FA)",
           "accuracy on forget; target: the retrained model's", target="retrained"),
    Metric("test_acc", "max", 0.0, "test accuracy (TA)", "accuracy on test", reads_test=True),
    Metric("forget_test_gap", "min", 1.0, "|FA - TA|", "|forget - test accuracy|", reads_test=True),
    *_attack("val_mia", "val"),
    Metric("val_loss_auc", "min", 1.0, "AUC of the loss, forget vs val",
           "area under the ROC curve of the loss, nothing fitted, forget vs val"),
    Metric("val_rmia_auc", "min", 1.0, "AUC of offline RMIA, forget vs val",
           "offline RMIA: AUC of the attack with shadow models, forget vs val"),
    Metric("val_lira_auc", "min", 1.0, "AUC of offline LiRA, forget vs val",
           "offline LiRA: AUC of the attack with shadow models, forget vs val"),
    Metric("val_residual", "min", 1.0, "residual memory, without a sign",
           "distance from retrained models over the original's: 0 is like retraining, by forget_acc"
           " and the attacks against val"),
    *_attack("mia", "test"),
    Metric("loss_auc", "min", 1.0, "AUC of the loss, forget vs test",
           "area under the ROC curve of the loss, nothing fitted", reads_test=True),
    Metric("ks", "min", 1.0, "KS distance of losses, forget vs test",
           "Kolmogorov-Smirnov distance of losses, forget vs test", reads_test=True),
    Metric("ks_p", "max", 0.0, "KS p-value", "p-value of the KS distance of losses",
           reads_test=True),
    Metric("wasserstein", "min", 10.0, "W1 distance of losses, forget vs test",
           "Wasserstein distance of losses, forget vs test, in nats", "nats", reads_test=True),
    Metric("utility_paper", "max", -1.0, "val_acc - mia_acc (the paper's)",
           "val accuracy - mia_acc", reads_test=True),
    Metric("tpr_at_1", "min", 1.0, "TPR of the loss at 1 % FPR, forget vs test",
           "share of forget found at 1 % false alarms, by the loss", reads_test=True),
    Metric("tpr_at_01", "min", 1.0, "TPR of the loss at 0.1 % FPR, forget vs test",
           "share of forget found at .1 % false alarms, by the loss", reads_test=True),
    Metric("avg_gap", "min", 1.0, "mean |gap to retrained| of RA, FA, TA, mia_acc",
           "mean distance to the retrained models in four accuracies", reads_test=True),
    Metric("tow", "max", 0.0, "tug of war: (1-|dFA|)(1-|dRA|)(1-|dTA|), d to retrained",
           "tug of war: 1 is a retrained model, 0 the farthest from it", reads_test=True),
    Metric("rmia_auc", "min", 1.0, "AUC of offline RMIA, forget vs test",
           "offline RMIA: AUC of the attack with shadow models", reads_test=True),
    Metric("lira_auc", "min", 1.0, "AUC of offline LiRA, forget vs test",
           "offline LiRA: AUC of the attack with shadow models", reads_test=True),
    Metric("u_lira_auc", "min", 1.0, "AUC of U-LiRA, forget vs test",
           "U-LiRA: AUC of the attack with unlearned shadow models", reads_test=True),
    Metric("klom", "min", 10.0, "KLoM on forget, mean over examples",
           "KL divergence of margins from those of retrained models, in nats", "nats"),
    Metric("relearn_steps", "max", 0.0, "steps to relearn forget",
           "steps of training on forget until its accuracy is back", "steps", target="retrained"),
    Metric("seconds", "min", 3600.0, "unlearning time", "seconds of training, or of unlearning",
           "s"),
    Metric("game_seconds", "min", 3600.0, "time in the game",
           "seconds in the game: audit forward and backward, and solving", "s"),
    Metric("solve_seconds", "min", 3600.0, "time solving the auditor",
           "seconds of solving the auditor, and of its implicit gradient", "s"),
    Metric("reference_seconds", "min", 3600.0, "time of the reference",
           "seconds of training a network that never saw forget, for methods that need one", "s"),
    Metric("examples_seen", "min", 1e9, "examples through the network, forward and backward",
           "examples through the network, forward and backward", "examples"),
    Metric("peak_memory", "min", 1e6, "peak memory", "most memory of the GPU, or of the process",
           "MiB"),
)  # fmt: skip
_RETAIN_MIA = Metric("retain_mia_auc", "min", 1.0, "attack AUC, retain vs test",
    "attack on the loss, retain vs test: area under the ROC curve", reads_test=True)  # fmt: skip

METRICS = {metric.name: metric for metric in _METRICS}
"""Metrics that a result row has a column for."""

AUDITED = METRICS | {_RETAIN_MIA.name: _RETAIN_MIA}
"""Metrics of an audit: those of a row, and one that audits alone have."""

SELECTABLE = tuple(name for name, metric in METRICS.items() if not metric.reads_test)
"""Metrics that a search or a choice may use: none of them reads the test split."""

STATUSES = ("complete", "pruned", "failed")

KEY = ("study", "cell", "trial_id", "seed")
"""Columns that identify a row; attempts at one row share them. A trial is a configuration, with a
row for each seed it is run with."""

_IDENTITY = {
    "schema_version": "int32", "study": "string",
    "cell": "string",  # data/method; for references the data alone
    "trial_id": "string",  # a number; original, retrain, or retrain-1, ... of the null band
    "seed": "int64",
    # search: proposed by one, or a control of it (fronts are made of these); confirm: the front
    # again on fresh seeds; scaling: a sweep of sizes
    "phase": "string",
    "attempt": "int32",
}  # fmt: skip
_CONFIGURATION = {
    "dataset": "string", "model": "string", "scenario": "string", "requests": "int32",
    "forget_fraction": "float64", "method": "string", "alpha": "float64", "reg": "float64",
    "solve_every": "int64",  # optimiser steps; "epoch" is stored as the steps of one
    "update": "string",
}  # fmt: skip
_PROVENANCE = {
    "control": "bool",  # enqueued by the study, not suggested by the sampler
    "unsolved": "int64",  # auditor problems left void or short of their tolerance
    "config": "string",  # JSON: all settings, enough to run the trial again
    "code_version": "string", "code_dirty": "bool", "data_fingerprint": "string",
    "split_digest": "string", "original_digest": "string", "device": "string", "threads": "int32",
    "host": "string",
    "versions": "string",  # JSON
    "started": pa.timestamp("us", tz="UTC"), "wall_seconds": "float64",
    "device_seconds": "float64",  # the device was busy; null on a CPU
    "host_class": "string",  # processor, cores and memory, such as "x86_64, 2 cores, 24 GiB"
}  # fmt: skip

TRIALS = pa.schema({
    **_IDENTITY, "status": "string", "reason": "string", **_CONFIGURATION,
    "train_examples": "int64",  # retain and forget
    "classes": "int64",
    "forgotten_classes": "string",  # JSON: names of the classes to be forgotten, if any are named
    "audit_examples": "int64",  # held-out examples that the game may use
    "workers": "int64",  # trials run at a time
    **dict.fromkeys(METRICS, "float64"),
    "suppressed": "string",  # JSON: why a tpr_at_* is null, by its name
    **_PROVENANCE,
})  # fmt: skip
"""One row for each trial and seed. A metric is null where the trial did not reach it, or for the
reason that `suppressed` gives."""

REQUIRED = ("schema_version", "study", "trial_id", "attempt")
"""Columns that a file must have to be a study's; any other that it lacks is null."""

EPOCHS = pa.schema({
    **_IDENTITY, "epoch": "int32",
    "train_loss": "float64",  # of the method, mean over the epoch's batches
    "utility": "float64",  # of the auditor, mean over the epoch's solves, if any
    "solves": "int32", "unsolved": "int64", **dict.fromkeys(SELECTABLE, "float64"),
})  # fmt: skip
"""One row for each epoch that a trial reports; only its row in `TRIALS` reads the test split."""

HISTOGRAMS = pa.schema({
    **_IDENTITY,
    "split": "string",  # forget, val or test
    "low": "float64", "high": "float64",  # nats
    "count": "int64",  # examples with a loss from low to high
})  # fmt: skip
"""One row for each bin of the histogram of a finished trial's or control's losses on a split; kept
in the folder `losses`."""
