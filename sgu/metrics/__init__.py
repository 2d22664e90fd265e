"""Metrics of a model and attacks on it, outside the game: functions of arrays."""

from sgu.metrics.attacks import ATTACKS, Record, attack_table
from sgu.metrics.evaluate import Bin, against_retrained, loss_histograms, metrics_of, selection_of
from sgu.metrics.intervals import Estimate
from sgu.metrics.loss_attack import loss_attack
from sgu.metrics.scored import Scored
from sgu.metrics.slices import Slice, slices
