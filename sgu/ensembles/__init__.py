"""Ensembles: networks that are trained once, and of which only the logits are kept."""

from sgu.ensembles.designs import Shadows, oracles, originals, shadows, unlearned
from sgu.ensembles.train import ensemble, train_and_unlearn

__all__ = [
    "Shadows",
    "ensemble",
    "oracles",
    "originals",
    "shadows",
    "train_and_unlearn",
    "unlearned",
]
