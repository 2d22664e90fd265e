"""Reads a study's Parquet files: fronts, hypervolumes, tables, charts and a page about it."""

from analysis.band import null_bands, verdicts
from analysis.charts import effect_chart, epochs_chart, front_chart, save, split_chart
from analysis.choose import Choice, choose
from analysis.load import load_epochs, load_losses, load_study
from analysis.pareto import hypervolume, knee, pareto_front
from analysis.report import write_report
from analysis.schema import METRICS, SELECTABLE
from analysis.seeds import configurations

__all__ = [
    "METRICS",
    "SELECTABLE",
    "Choice",
    "choose",
    "configurations",
    "effect_chart",
    "epochs_chart",
    "front_chart",
    "hypervolume",
    "knee",
    "load_epochs",
    "load_losses",
    "load_study",
    "null_bands",
    "pareto_front",
    "save",
    "split_chart",
    "verdicts",
    "write_report",
]
