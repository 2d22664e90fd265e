"""Distillation from a reference: forget comes to look as it does to a network that never saw it.

D = mean KL(softmax r || softmax s),    see `methods.reference`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sgu.methods.reference import Referenced
from sgu.methods.scrub import divergence


@dataclass(frozen=True, kw_only=True)
class ReferenceDistill(Referenced):
    """Fine-tuning on retain, and on forget distillation from a network that never saw it."""

    source: ClassVar[str] = "this project; distillation: Hinton 2015, arXiv 1503.02531"

    def distance(self, r: Tensor, s: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        return divergence(r, s, 1.0)
