"""Labels from a reference: forget's are drawn anew from the prediction of a network without it.

    D = CE(s; y),  y drawn from softmax r in every batch,    see `methods.reference`

Its gradient is that of `reference_distill` in expectation; it needs no more of the reference than
samples, as SalUn's random labels are samples of a network that knows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from sgu.host.devices import to_device
from sgu.methods.reference import Referenced


@dataclass(frozen=True, kw_only=True)
class ReferenceLabels(Referenced):
    """Fine-tuning on retain, and on forget with labels that a network which never saw it draws."""

    source: ClassVar[str] = "this project; random labels: Graves 2021, arXiv 2010.10981"

    weight: float = 0.1
    distill_every: int = 1

    def distance(self, r: Tensor, s: Tensor, generator: torch.Generator) -> Tensor:
        waiting = torch.empty(r.shape).exponential_(generator=generator)
        labels = (r.softmax(1) / to_device(waiting, r.device)).argmax(1)  # as torch.multinomial
        return F.cross_entropy(s, labels)
