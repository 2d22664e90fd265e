"""The answers of one network on everything: what all metrics, attacks and ensembles go by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sgu.files.atomic import atomic_write
from sgu.host.provenance import code_version
from sgu.metrics import metrics_of, selection_of
from sgu.metrics.evaluate import SELECTING, Metrics
from sgu.metrics.rates import suppressed
from sgu.metrics.scored import REPORTED, Scored
from sgu.results.rows import Row
from sgu.task import FROM_TRAIN, Task
from sgu.training.inference import predict


@dataclass(frozen=True, eq=False)
class Logits:
    """Of all examples, in evaluation mode, float32 on the CPU: train (N, C), heldout (M, C).

    seconds: of the training, and the unlearning where there was one; cached: whether it was found
    rather than trained.
    """

    train: Tensor
    heldout: Tensor
    seconds: float = 0.0
    cached: bool = False

    @classmethod
    def of(cls, model: nn.Module, task: Task, seconds: float = 0.0) -> Logits:
        parts = (task.source.train, task.source.heldout)
        train, heldout = (predict(model, part, task.pipeline).cpu() for part in parts)
        return cls(train, heldout, seconds)

    @classmethod
    def load(cls, path: Path, cached: bool) -> Logits:
        with safe_open(path, framework="pt") as file:
            seconds = float(file.metadata()["seconds"])
            return cls(file.get_tensor("train"), file.get_tensor("heldout"), seconds, cached)

    def save(self, path: Path, settings: dict[str, Any]) -> None:
        info = {"member": json.dumps(settings, sort_keys=True), "seconds": repr(self.seconds)}
        tensors = {"train": self.train.contiguous(), "heldout": self.heldout.contiguous()}
        with atomic_write(path) as unfinished:
            save_file(tensors, unfinished, metadata=info)

    def scored(self, task: Task, splits: Sequence[str] = REPORTED) -> dict[str, Scored]:
        """As `score_task` of the network itself: what all metrics and attacks start from."""
        found = {}
        for split in splits:
            (examples, rows), logits = task.part(split), self._part(split)
            found[split] = Scored.of(logits[rows], examples.targets.cpu()[rows])
        return found

    def _part(self, split: str) -> Tensor:
        return self.train if split in FROM_TRAIN else self.heldout


def score(model: nn.Module, task: Task, split: str) -> Scored:
    """The model's answers on a split, in evaluation mode, from one pass over it."""
    examples, rows = task.part(split)
    return Scored.of(predict(model, examples, task.pipeline, rows), examples.targets.cpu()[rows])


def score_task(model: nn.Module, task: Task, splits: Sequence[str] = REPORTED) -> dict[str, Scored]:
    """Each of the splits scored once; a split that is not named is not touched."""
    return {split: score(model, task, split) for split in splits}


def selection_metrics(model: nn.Module, task: Task) -> Metrics:
    """What a search may look at: forget and val. The test split is not touched."""
    train, rows = task.part("retain")
    return selection_of(score_task(model, task, SELECTING), train.targets.cpu()[rows].numpy())


def all_metrics(model: nn.Module, task: Task) -> Metrics:
    """`selection_metrics`, and what is only ever reported: retain, and everything with test."""
    return metrics_of(score_task(model, task))


def unmeasured(task: Task) -> dict[str, str]:
    """By the name of each metric that `metrics_of` leaves out on this task: why."""
    (train, forget), (heldout, test) = task.part("forget"), task.part("test")
    asked = train.targets.cpu()[forget]
    return suppressed(int(torch.isin(heldout.targets.cpu()[test], asked).sum()))


def context(settings: Row, task: Task) -> Row:
    """Return the columns that all rows on a task share. settings: those of one of the runs."""
    version, dirty = code_version()
    reasons = unmeasured(task)
    return {
        "dataset": task.source.name,
        **{name: settings[name] for name in ("model", "scenario", "requests")},
        "forget_fraction": len(task.splits.forget) / len(task.source.train),
        "train_examples": len(task.source.train),
        "classes": task.source.num_classes,
        "audit_examples": len(task.splits.audit),
        "suppressed": json.dumps(reasons) if reasons else None,
        "code_version": version,
        "code_dirty": dirty,
        "data_fingerprint": task.source.fingerprint,
        "split_digest": task.splits.digest,
    }
