"""What a network of an ensemble is trained on, and how; its name in the cache follows from that."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from sgu.data.sources import Examples, Source
from sgu.data.splits.splits import Splits
from sgu.experiment import DATA_SETTINGS, Experiment
from sgu.methods import plays
from sgu.results.schema import GAME_SETTINGS
from sgu.training.loop import Optimisation

VERSION = 1  # raise when training or unlearning changes in a way that no setting shows
OF_THE_MEMBER = DATA_SETTINGS | {"model", "pretrain_epochs", "seed"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Member:
    """Everything that decides the logits of one network, on one machine.

    kind: a word for the file's name. rows: what it is trained on, int64 (n,), into train followed
    by held-out (`combined`). seed: of its weights and batches, and of its unlearning.
    experiment: how it is then unlearned, by its method and game alone; splits: who is forgotten,
    retain and forget as `rows` are. Without the two it stays as trained.
    """

    kind: str
    model: str
    seed: int
    data_fingerprint: str
    rows: Tensor
    optimisation: Optimisation
    experiment: Experiment | None = None
    splits: Splits | None = None

    def __post_init__(self) -> None:
        if (self.experiment is None) != (self.splits is None):
            raise ValueError("experiment and splits go together: give both, or neither")
        if self.splits is not None:
            known = torch.cat([self.splits.retain, self.splits.forget]).sort().values
            if not torch.equal(known, self.rows.sort().values):
                raise ValueError(
                    f"trained on {len(self.rows)} rows, retain and forget are {len(known)} others: "
                    "unlearn what it is trained on"
                )

    @property
    def training(self) -> dict[str, Any]:
        """What decides its weights before it is unlearned, as plain values."""
        rows = self.rows.numpy().astype("<i8").tobytes()
        return {
            "model": self.model,
            "seed": self.seed,
            "data_fingerprint": self.data_fingerprint,
            "rows": hashlib.sha256(rows).hexdigest(),
            "optimisation": asdict(self.optimisation),
            "version": VERSION,
        }

    @property
    def settings(self) -> dict[str, Any]:
        """What decides its logits, as plain values."""
        if self.experiment is None or self.splits is None:
            return self.training
        unread = set() if plays(self.experiment.method) else GAME_SETTINGS
        asked = self.experiment.settings()
        how = {name: asked[name] for name in asked if name not in OF_THE_MEMBER | unread}
        return self.training | {"unlearning": how, "splits": self.splits.digest}

    @property
    def filename(self) -> str:
        return f"{self.model}-{self.kind}-{digest(self.settings)}.safetensors"


def digest(settings: dict[str, Any]) -> str:
    """16 hex digits."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def combined(source: Source, rows: Tensor) -> Examples:
    """What `rows` point into: train alone where that is enough, else train and then held-out."""
    train, heldout = source.train, source.heldout
    if int(rows.max()) < len(train):
        return train
    if train.file is not None or heldout.file is not None:
        raise ValueError(
            f"{source.name} lies on disk; shadow models train on train and held-out examples "
            "together, which takes both in memory: choose a subset, or raise SGU_MEMORY_LIMIT"
        )
    return Examples(
        torch.cat([train.inputs, heldout.inputs]), torch.cat([train.targets, heldout.targets])
    )
