"""Reads a study's Parquet files: fronts, hypervolumes, tables, charts and a page about it."""

from analysis.band import null_bands, verdicts
from analysis.charts import (
    effect_chart,
    epochs_chart,
    front_chart,
    linked_chart,
    losses_chart,
    parallel_chart,
    save,
    split_chart,
)
from analysis.choose import Choice, choose
from analysis.load import load_epochs, load_losses, load_study
from analysis.pareto import hypervolume, knee, pareto_front
from analysis.report import Study, read_study, write_report
from analysis.schema import METRICS, SELECTABLE
from analysis.seeds import configurations

__all__ = [
    "METRICS",
    "SELECTABLE",
    "Choice",
    "Study",
    "choose",
    "configurations",
    "effect_chart",
    "epochs_chart",
    "front_chart",
    "hypervolume",
    "knee",
    "linked_chart",
    "load_epochs",
    "load_losses",
    "load_study",
    "losses_chart",
    "null_bands",
    "parallel_chart",
    "pareto_front",
    "read_study",
    "save",
    "split_chart",
    "verdicts",
    "write_report",
]
