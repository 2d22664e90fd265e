"""The price and the gain of a smaller audit batch: `python benchmarks/audit_batch.py`.

One game on the embedded data at several sizes of the audit batch, alike in everything else, over
seeds of split, training and game; then at equal numbers of scored images, where a smaller batch
plays more often. Prints means with the range over seeds, and writes Parquet.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from sgu.experiment import Experiment
from sgu.networks.references import recipe, reference
from sgu.training.inference import default_device
from sgu.unlearning import unlearn

BASE = Experiment()
# audit batch (None = all of forget and as many audit examples, here 800), steps between rounds
SETTINGS = [(None, 8), (400, 8), (200, 8), (100, 8), (400, 4), (200, 2), (100, 1)]
SHOWN = ("val_mia_acc", "val_acc", "test_acc", "seconds", "game_seconds", "solve_seconds")


def measure(seeds: int, cache: Path, device: torch.device) -> list[dict[str, float | int | None]]:
    """Return a row a setting and seed: the settings, the metrics and the unsolved problems."""
    rows: list[dict[str, float | int | None]] = []
    for seed in range(seeds):
        task = replace(BASE, seed=seed).task()
        wanted = recipe("original", BASE.model, task, seed)
        original = reference(wanted, task, cache, device).model
        for alpha, (batch, every) in [(0.0, SETTINGS[0]), *((BASE.alpha, s) for s in SETTINGS)]:
            experiment = replace(BASE, seed=seed, alpha=alpha, audit_batch=batch, solve_every=every)
            outcome = unlearn(experiment, task.to(device), original)
            settings = {"seed": seed, "alpha": alpha, "audit_batch": batch, "solve_every": every}
            rows.append(settings | outcome.metrics | {"unsolved": outcome.unsolved})
            print(f"seed {seed}, alpha {alpha:g}, audit batch {batch}, every {every}", flush=True)
    return rows


def show(rows: list[dict[str, float | int | None]]) -> None:
    """Print means over seeds, with the range."""
    print(f"\n{'alpha':>5} {'batch':>5} {'every':>5}  " + "".join(f"{name:>22}" for name in SHOWN))
    groups: dict[tuple[object, ...], list[dict[str, float | int | None]]] = {}
    for row in rows:
        groups.setdefault((row["alpha"], row["audit_batch"], row["solve_every"]), []).append(row)
    for (alpha, batch, every), group in groups.items():
        cells = []
        for name in SHOWN:
            values = [float(row[name] or 0) for row in group]
            cells.append(f"{mean(values):8.3f} [{min(values):.3f}, {max(values):.3f}]")
        print(f"{alpha:5} {batch or 'all':>5} {every:5}  " + "".join(f"{c:>22}" for c in cells))
    missed = sum(int(row["unsolved"] or 0) for row in rows)
    print(f"{len(rows)} runs, {missed} auditor problems unsolved")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path("results/cache"))
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = default_device()
    begin = time.perf_counter()
    rows = measure(args.seeds, args.cache, device)
    args.out.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), args.out / "audit_batch.parquet")
    show(rows)
    print(f"{time.perf_counter() - begin:.0f} s on {device}; rows in {args.out}")


if __name__ == "__main__":
    main()
