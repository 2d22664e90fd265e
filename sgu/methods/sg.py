"""SG-Unlearn: fine-tuning on retain with the auditor's best response in its gradient.

Source: arXiv 2406.07687. With alpha = 0 no game is played, and this is `finetune` bit for bit.
Published for CIFAR-10, ResNet-18, 10 % random: lr .01, 30 epochs; alpha 0, .05, .1, .25, .5, 1, 2
and 5 with ten seeds each (`sgu --preset paper`, studies/paper.yaml).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sgu.methods.base import Space
from sgu.methods.finetune import Finetune

GAME_SPACE: Space = {
    "alpha": {"low": 0.05, "high": 5.0, "log": True},
    "reg": {"low": 0.003, "high": 1.0, "log": True},
    "solve_every": [4, 8, 16],
}


@dataclass(frozen=True, kw_only=True)
class SG(Finetune):
    """The game over fine-tuning; `sg+NAME` is the game over another method."""

    source: ClassVar[str] = "arXiv 2406.07687"
    space: ClassVar[Space] = {"lr": {"low": 1e-3, "high": 1e-1, "log": True}}

    epochs: int = 30
