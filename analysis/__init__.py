"""Reads a study's Parquet files: fronts, hypervolumes, tables, charts and a page about it."""

from analysis.charts import effect_chart, epochs_chart, front_chart, save, split_chart
from analysis.load import load_epochs, load_losses, load_study
from analysis.pareto import hypervolume, pareto_front
from analysis.report import write_report
from analysis.schema import METRICS, SELECTABLE

__all__ = [
    "METRICS",
    "SELECTABLE",
    "effect_chart",
    "epochs_chart",
    "front_chart",
    "hypervolume",
    "load_epochs",
    "load_losses",
    "load_study",
    "pareto_front",
    "save",
    "split_chart",
    "write_report",
]
