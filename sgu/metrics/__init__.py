"""Metrics of a model, outside the game."""

from sgu.metrics.attack import Attack, loss_attack
from sgu.metrics.evaluate import all_metrics, selection_metrics

__all__ = ["Attack", "all_metrics", "loss_attack", "selection_metrics"]
