"""Ensembles: networks that are trained once, and of which only the logits are kept."""

from sgu.ensembles.designs import Shadows, oracles, originals, shadows, unlearned
from sgu.ensembles.member import Member
from sgu.ensembles.train import ensemble, train_and_unlearn
from sgu.evaluation import Logits

__all__ = [
    "Logits",
    "Member",
    "Shadows",
    "ensemble",
    "oracles",
    "originals",
    "shadows",
    "train_and_unlearn",
    "unlearned",
]
