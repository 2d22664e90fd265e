"""Before the search: the original and the retrained model, side by side on the cluster."""

from __future__ import annotations

import time
from typing import Any

import pandas as pd
import ray

from sgu.references import Kind
from sgu.world import World
from tune.sink import ROW, Say, context, described
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


def prepare(
    spec: Spec, world: World, world_ref: Any, store: Store, rows: pd.DataFrame, say: Say
) -> tuple[Any, str]:
    """Train (or load) both; write their rows. Returns the original's weights and digest."""
    base, begin = spec.base(), time.perf_counter()
    cache = (store.folder.parent / "cache").resolve()
    say("training the original and the retrained model (or loading them from the cache)")
    progress: Any = ray.remote(num_cpus=0)(Progress).remote()
    task = ray.remote(num_cpus=spec.cpus_per_trial, num_gpus=spec.gpus_per_trial)(make_reference)
    tasks = [task.remote(kind, base, world_ref, cache, progress) for kind in KINDS]
    while ray.wait(tasks, num_returns=len(tasks), timeout=SAY_EVERY)[1]:
        say(f"{time.perf_counter() - begin:4.0f} s  {ray.get(progress.text.remote())}")
    made = ray.get(tasks)
    store.splits(world.splits.digest, world.splits.to_table())
    for kind, (_, row) in zip(KINDS, made, strict=True):
        if kind not in set(rows["method"]):
            columns = described(base.settings() | {"method": kind}, len(world.splits.retain))
            store.trial(ROW | context(base, world) | columns | row | {"trial_id": kind})
    say(f"both are ready after {time.perf_counter() - begin:.0f} s")
    weights, row = made[0]
    return ray.put(weights), row["original_digest"]
