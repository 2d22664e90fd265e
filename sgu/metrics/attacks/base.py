"""The protocol of attacks: fitted on members and held-out examples, they score others."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np

from sgu.metrics.scored import Scored


class Attack(Protocol):
    """A membership attack that sees one model's answers.

    directed: it knows beforehand in which direction members differ, and learns only thresholds.
    """

    directed: ClassVar[bool]

    def fit(self, members: Scored, heldout: Scored) -> None:
        """Learn from examples whose membership is known, equally many of both sides."""

    def score(self, scored: Scored) -> np.ndarray:
        """Return (n,), higher = more member-like; above 0 = called a member."""
