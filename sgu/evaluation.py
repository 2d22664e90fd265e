"""The answers of one network to all examples, on which all metrics, attacks and ensembles stand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sgu.data.splits.scenarios import class_labels
from sgu.host.provenance import code_version
from sgu.metrics import metrics_of, selection_of
from sgu.metrics.evaluate import SELECTING, Metrics
from sgu.metrics.rates import suppressed
from sgu.metrics.scored import REPORTED, Scored
from sgu.results.rows import Row
from sgu.task import FROM_TRAIN, Task
from sgu.training.inference import predict

Measure = Callable[[Mapping[str, Scored], Metrics], Metrics]
"""Measures more of a model, from its scored splits and its metrics so far, as
`sgu.ensembles.selection.Selection.metrics` does."""


@dataclass(frozen=True, eq=False)
class Logits:
    """Logits of all examples in evaluation mode, float32 on the CPU: train (N, C), heldout (M, C).

    seconds: of training, and of unlearning if there was any.
    """

    train: Tensor
    heldout: Tensor
    seconds: float = 0.0

    @classmethod
    def of(cls, model: nn.Module, task: Task, seconds: float = 0.0) -> Logits:
        parts = (task.source.train, task.source.heldout)
        train, heldout = (predict(model, part, task.pipeline).cpu() for part in parts)
        return cls(train, heldout, seconds)

    def scored(self, task: Task, splits: Sequence[str] = REPORTED) -> dict[str, Scored]:
        """Return what `score_task` of the network itself returns, without another pass."""
        scored = {}
        for split in splits:
            examples, indices = task.part(split)
            logits = self.train if split in FROM_TRAIN else self.heldout
            scored[split] = Scored.of(logits[indices], examples.targets.cpu()[indices])
        return scored


def score(model: nn.Module, task: Task, split: str) -> Scored:
    """Return the model's answers on a split, in evaluation mode, from one pass over it."""
    examples, indices = task.part(split)
    logits = predict(model, examples, task.pipeline, indices)
    return Scored.of(logits, examples.targets.cpu()[indices])


def score_task(model: nn.Module, task: Task, splits: Sequence[str] = REPORTED) -> dict[str, Scored]:
    """Return each of the splits scored; no other split is read."""
    return {split: score(model, task, split) for split in splits}


def selection_metrics(model: nn.Module, task: Task, more: Measure | None = None) -> Metrics:
    """Return the metrics that a search may look at, of forget and val; test is not read."""
    (train, retain), scored = task.part("retain"), score_task(model, task, SELECTING)
    return with_more(scored, selection_of(scored, train.targets.cpu()[retain].numpy()), more)


def with_more(scored: Mapping[str, Scored], metrics: Metrics, more: Measure | None) -> Metrics:
    """Return metrics, and what `more` measures beyond them."""
    return metrics | more(scored, metrics) if more else metrics


def all_metrics(model: nn.Module, task: Task) -> Metrics:
    """Return `selection_metrics` and the metrics only reported: of retain and of test."""
    return metrics_of(score_task(model, task))


def context(settings: Row, task: Task) -> Row:
    """Return the columns that all rows on a task share. settings: those of one of the runs."""
    version, dirty = code_version()
    (train, forget), (heldout, test) = task.part("forget"), task.part("test")
    peers = torch.isin(heldout.targets.cpu()[test], train.targets.cpu()[forget])
    reasons = suppressed(int(peers.sum()))
    names = task.source.classes
    forgotten = [names[label] for label in class_labels(settings["forget_classes"], names)]
    return {
        "dataset": task.source.name,
        **{name: settings[name] for name in ("model", "requests")},
        "scenario": "stated" if settings["forget"] else settings["scenario"],
        "forget_fraction": len(forget) / len(train),
        "train_examples": len(train),
        "classes": task.source.num_classes,
        "forgotten_classes": json.dumps(forgotten) if forgotten else None,
        "audit_examples": len(task.splits.audit),
        "suppressed": json.dumps(reasons) if reasons else None,
        "code_version": version,
        "code_dirty": dirty,
        "data_fingerprint": task.source.fingerprint,
        "split_digest": task.splits.digest,
    }
