"""Metrics of a model, outside the game."""

from sgu.metrics.attacks import ATTACKS, Attack, Record, attack_table, report
from sgu.metrics.evaluate import (
    Bin,
    against_retrained,
    all_metrics,
    loss_histograms,
    metrics_of,
    selection_metrics,
    selection_of,
    unmeasured,
)
from sgu.metrics.intervals import Estimate
from sgu.metrics.scored import Scored, score, score_world
from sgu.metrics.slices import Slice, slices
from sgu.metrics.starting_kit import LossAttack, loss_attack

__all__ = [
    "ATTACKS",
    "Attack",
    "Bin",
    "Estimate",
    "LossAttack",
    "Record",
    "Scored",
    "Slice",
    "against_retrained",
    "all_metrics",
    "attack_table",
    "loss_attack",
    "loss_histograms",
    "metrics_of",
    "report",
    "score",
    "score_world",
    "selection_metrics",
    "selection_of",
    "slices",
    "unmeasured",
]
