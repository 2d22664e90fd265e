"""Seconds from a study's files to its page, and the page's size, for a study of 200 trials.

    python benchmarks/report.py [--trials 200] [--seeds 2] [--folder DIR]

The study is generated, not run. Its rows follow `sgu.results.schema`: two methods on one data set,
each trial with its seeds, curves and histograms of losses, the references and retrained models, a
confirmed front and a sweep of sizes. Its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import load_study, pareto_front
from analysis.report import read_study, write_report
from sgu.results.schema import EPOCHS, HISTOGRAMS, METRICS, SCHEMA_VERSION, TRIALS

Row = dict[str, Any]
EDGES = 10 ** np.arange(-5, 1.75, 0.25)
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EPOCHS_OF_A_TRIAL = 5


def generate(folder: Path, trials: int = 200, seeds: int = 2) -> Path:
    """Write a study of so many trials, half for each of two methods, and return `folder`."""
    generator = np.random.default_rng(0)
    rows = _references(generator, seeds)
    for number in range(trials):
        method = ("sg", "sg+random_label")[number % 2]
        rows += _trial(generator, f"{number // 2:04d}", method, seeds, number)
    _write(folder / "trials", TRIALS, rows)
    confirmed = _again(generator, folder, range(100, 103))
    _write(folder / "trials", TRIALS, [*rows, *confirmed, *_scaling(generator)])
    _write(folder / "epochs", EPOCHS, [point for row in rows for point in _curve(row)])
    bins = [bin_ for row in rows for bin_ in _losses(generator, row)]
    _write(folder / "losses", HISTOGRAMS, bins)
    (folder / "spec.yaml").write_text("name: generated\n", encoding="utf-8")
    return folder


def _row(trial_id: str, method: str, seed: int, minutes: float, **columns: Any) -> Row:
    reference = method in ("original", "retrain")
    config = {"data": "generated", "method": method, "seed": seed}
    config |= {} if reference else {n: columns.get(n) for n in ("alpha", "reg", "solve_every")}
    return dict.fromkeys(TRIALS.names) | {
        "schema_version": SCHEMA_VERSION, "study": "generated", "trial_id": trial_id, "seed": seed,
        "cell": "generated" if reference else f"generated/{method}", "phase": "search",
        "attempt": 0, "status": "complete", "dataset": "generated", "model": "small_cnn",
        "scenario": "random", "requests": 1, "forget_fraction": 0.1, "method": method,
        "train_examples": 4000, "classes": 10, "audit_examples": 800, "workers": 2,
        "control": reference, "unsolved": 0, "config": json.dumps(config),
        "code_version": "0000000", "code_dirty": False, "data_fingerprint": "d" * 64,
        "split_digest": "e" * 64, "original_digest": "f" * 64, "device": "cpu", "threads": 1,
        "host": "worker", "host_class": "x86_64, 2 cores", "versions": '{"python": "3.11"}',
        "started": START + timedelta(minutes=minutes), "wall_seconds": 15.0,
    } | columns  # fmt: skip


def _measured(generator: np.random.Generator, error: float, advantage: float, cost: float) -> Row:
    noise = generator.normal(0, 0.01, 6)
    error, advantage = error + noise[0], abs(advantage + noise[1])
    attack = 0.5 + advantage / 2
    return dict.fromkeys(METRICS, 0.5) | {
        "val_error": error, "val_acc": 1 - error, "test_acc": 1 - error + noise[2],
        "retain_acc": min(1.0, 1.01 - 0.3 * error), "forget_acc": 1 - error + 0.6 * advantage,
        "val_mia_advantage": advantage, "val_mia_acc": attack, "val_mia_auc": attack,
        "mia_acc": attack + noise[3], "mia_auc": attack + noise[4], "seconds": cost,
        "mia_advantage": abs(advantage + 2 * noise[3]), "game_seconds": 0.6 * cost,
        "solve_seconds": 0.02 * cost, "examples_seen": 2e4, "peak_memory": 700.0,
    }  # fmt: skip


def _references(generator: np.random.Generator, seeds: int) -> list[Row]:
    rows = []
    for seed in range(seeds):
        retrained = ["retrain", *(f"retrain-{number}" for number in range(1, 4))]
        for trial_id in ("original", *retrained):
            method = trial_id.split("-")[0]
            error, advantage = (0.345, 0.02) if method == "retrain" else (0.32, 0.6)
            metrics = _measured(generator, error, advantage, 10.0) | {"game_seconds": None}
            rows.append(_row(trial_id, method, seed, 0, **metrics))
        for base in ("finetune", "random_label"):
            metrics = _measured(generator, 0.31, 0.47 if base == "finetune" else 0.2, 4.0)
            cell = "generated/sg" if base == "finetune" else "generated/sg+random_label"
            extra = {"alpha": 0.0, "control": True, "cell": cell}
            rows.append(_row("0000c", base, seed, 1, **metrics, **extra))
    return rows


def _trial(
    generator: np.random.Generator, trial_id: str, method: str, seeds: int, number: int
) -> list[Row]:
    alpha, reg = (float(10 ** generator.uniform(*ends)) for ends in ((-1, 0.6), (-2.5, 0)))
    solve_every = int(generator.choice([4, 8, 16]))
    settings = {"alpha": alpha, "reg": reg, "solve_every": solve_every, "update": "joint"}
    force = np.log10(alpha / reg**0.3) + 0.4 * np.log2(16 / solve_every)
    if number % 50 == 49:
        failed = {"status": "failed", "reason": f"Diverged: weights are not finite, alpha {alpha}"}
        return [_row(trial_id, method, seed, number, **settings, **failed) for seed in range(seeds)]
    error = 0.315 + 0.012 * max(0.0, force) ** 2.2 + abs(generator.normal(0, 0.006))
    advantage = 0.42 * np.exp(-1.1 * max(0.0, force + 0.4)) + abs(generator.normal(0, 0.01))
    if method != "sg":
        error, advantage = error + 0.01, 0.7 * advantage
    cost = 4 + 40 / solve_every
    rows = []
    for seed in range(seeds):
        metrics = _measured(generator, error, advantage, cost)
        rows.append(_row(trial_id, method, seed, number, **settings, **metrics))
    return rows


def _again(generator: np.random.Generator, folder: Path, seeds: range) -> list[Row]:
    """Return the front on fresh seeds, a little worse, as winners are."""
    front = pareto_front(load_study(folder), by=["cell"])
    rows = []
    for row in front[front["alpha"] > 0].to_dict("records"):
        settings = {name: row[name] for name in ("alpha", "reg", "update")}
        settings |= {"solve_every": int(row["solve_every"]), "phase": "confirm"}
        for seed in seeds:
            worse = (row["val_error"] + 0.006, row["val_mia_advantage"] + 0.02, row["seconds"])
            metrics = _measured(generator, *worse)
            rows.append(_row(row["trial_id"], row["method"], seed, 500, **settings, **metrics))
    return rows


def _scaling(generator: np.random.Generator) -> list[Row]:
    """Return runs at sizes from 500 to 4,000 train examples, with retraining at each."""
    rows = []
    for size in (500, 1000, 2000, 4000):
        for seed in range(2):
            for method, factor in (("sg", 3e-3), ("retrain", 2.5e-3)):
                cost = factor * size ** (0.9 if method == "sg" else 1.0) + 0.2
                metrics = _measured(generator, 0.6 - 0.03 * np.log2(size / 100), 0.05, cost)
                game = {"alpha": 1.0, "reg": 0.1, "solve_every": 8} if method == "sg" else {}
                place = {"phase": "scaling", "train_examples": size, "audit_examples": size // 5}
                place |= {"dataset": f"subset-{size}", "cell": f"subset-{size}/{method}"}
                rows.append(_row("retrain", method, seed, 600, **metrics, **place, **game))
    return rows


def _curve(row: Row) -> list[Row]:
    if row["status"] != "complete" or row["method"] in ("original", "retrain"):
        return []
    shared = {name: row[name] for name in EPOCHS.names if name in row}
    return [
        shared | {"epoch": epoch, "train_loss": 0.4 / (epoch + 1), "utility": 0.1 * epoch - 1.0,
                 "solves": 4}
        | {n: row[n] * (1 + 0.3 / (epoch + 1)) for n in ("val_error", "val_mia_advantage")}
        for epoch in range(EPOCHS_OF_A_TRIAL)
    ]  # fmt: skip


def _losses(generator: np.random.Generator, row: Row) -> list[Row]:
    if row["status"] != "complete":
        return []
    shared = {name: row[name] for name in HISTOGRAMS.names if name in row}
    rows = []
    for split, count in (("forget", 400), ("val", 400), ("test", 800)):
        centre = -0.3 - (2.5 * row["val_mia_advantage"] if split == "forget" else 0)
        values = 10 ** generator.normal(centre, 0.9, count)
        counts, _ = np.histogram(values.clip(EDGES[0], EDGES[-1]), EDGES)
        for low, high, number in zip(EDGES, EDGES[1:], counts, strict=False):
            rows.append(shared | {"split": split, "low": low, "high": high, "count": int(number)})
    return rows


def _write(folder: Path, schema: pa.Schema, rows: list[Row]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    columns = [{name: row.get(name) for name in schema.names} for row in rows]
    pq.write_table(pa.Table.from_pylist(columns, schema=schema), folder / "packed.parquet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep the study and its page there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        study = generate((args.folder or Path(scratch)) / "generated", args.trials, args.seeds)
        begin = time.perf_counter()
        page = write_report(read_study(study), study / "report.html")
        seconds = time.perf_counter() - begin
        print(f"{args.trials} trials of {args.seeds} seeds: page in {seconds:.1f} s, "
              f"{page.stat().st_size / 1e6:.2f} MB")  # fmt: skip


if __name__ == "__main__":
    main()
