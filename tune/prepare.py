"""Before the search: the original and the retrained model, side by side on the cluster."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pandas as pd
import ray

from sgu.metrics import against_retrained
from sgu.references import Kind
from sgu.rows import ROW, Row, cell, context, described
from sgu.world import World
from tune.sink import Say
from tune.spec import Spec
from tune.store import Store
from tune.trial import make_reference

KINDS: tuple[Kind, Kind] = ("original", "retrain")
SAY_EVERY = 15.0  # seconds between two lines about progress


class Progress:
    """How far each reference is; an actor that needs no CPU."""

    def __init__(self) -> None:
        self.lines: dict[str, str] = {}

    def reached(self, kind: str, text: str) -> None:
        self.lines[kind] = text

    def text(self) -> str:
        return ", ".join(f"{kind} {text}" for kind, text in sorted(self.lines.items()))


@dataclass(frozen=True)
class Prepared:
    """The original's weights, in Ray's store, and its digest; the retrained model's metrics."""

    original: Any
    digest: str
    retrained: Row


def prepare(
    spec: Spec, world: World, world_ref: Any, store: Store, rows: pd.DataFrame, say: Say
) -> Prepared:
    """Train (or load) both; write their rows."""
    base, begin = spec.base(), time.perf_counter()
    cache = (store.folder.parent / "cache").resolve()
    say("training the original and the retrained model (or loading them from the cache)")
    progress: Any = ray.remote(num_cpus=0)(Progress).remote()
    task = ray.remote(num_cpus=spec.cpus_per_trial, num_gpus=spec.gpus_per_trial)(make_reference)
    tasks = [task.remote(kind, base, world_ref, cache, progress) for kind in KINDS]
    while ray.wait(tasks, num_returns=len(tasks), timeout=SAY_EVERY)[1]:
        say(f"{time.perf_counter() - begin:4.0f} s  {ray.get(progress.text.remote())}")
    (weights, original), (_, retrained) = ray.get(tasks)
    store.splits(world.splits.digest, world.splits.to_table())
    for kind, row in zip(KINDS, (original, retrained), strict=True):
        if kind not in set(rows["method"]):
            columns, gap = described(base.settings(), kind), against_retrained(row, retrained)
            where = {"trial_id": kind, "cell": cell(world.source.name, kind)}
            store.trial(ROW | context(base, world) | columns | row | gap | where)
    say(f"both are ready after {time.perf_counter() - begin:.0f} s")
    return Prepared(ray.put(weights), original["original_digest"], retrained)
