"""A small study as `tune` would write it, with known oddities: a failure and a prune."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import read_study, write_report
from sgu.results.schema import EPOCHS, HISTOGRAMS, METRICS, SCHEMA_VERSION, TRIALS

ALPHAS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)


def write_rows(folder: Path, name: str, rows: list[dict], schema: pa.Schema) -> Path:
    """Write rows as one Parquet file; a column that a row lacks is null."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / name)
    return folder / name


def trial(trial_id: str, **columns: object) -> dict:
    """Return a complete trial's row with its identity and provenance filled in."""
    row: dict = dict.fromkeys(TRIALS.names)
    row |= {
        "schema_version": SCHEMA_VERSION, "study": "demo", "cell": "digits/sg",
        "trial_id": trial_id, "phase": "search", "attempt": 0, "status": "complete",
        "dataset": "digits", "model": "mlp", "method": "sg", "seed": 0,
        "control": False, "unsolved": 0, "code_version": "abc1234", "code_dirty": False,
        "data_fingerprint": "d" * 64, "split_digest": "e" * 64, "original_digest": "f" * 64,
        "device": "cpu", "threads": 2, "host": "worker-1", "wall_seconds": 12.5,
        "versions": json.dumps({"torch": "2.14.0", "python": "3.11"}),
        "started": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    }  # fmt: skip
    row |= columns
    row["config"] = json.dumps({"seed": row["seed"], "alpha": row["alpha"], "note": "<b>&</b>"})
    return row


def measured(generator: np.random.Generator, error: float, advantage: float) -> dict:
    """Return the metrics of a model with that validation error and attack advantage."""
    noise = generator.normal(0, 0.004, 4)
    values = dict.fromkeys(METRICS, 0.5)
    values |= {
        "val_error": error, "val_acc": 1 - error, "test_acc": 1 - error + noise[0],
        "retain_acc": min(1.0, 1 - error / 4), "forget_acc": 1 - error + advantage / 3,
        "forget_test_gap": abs(advantage / 3 - noise[0]), "val_mia_advantage": advantage,
        "val_mia_acc": 0.5 + advantage / 2, "mia_acc": 0.5 + advantage / 2 + noise[1],
        "mia_advantage": abs(advantage + 2 * noise[1]), "seconds": 42 + 900 * abs(noise[2]),
        "game_seconds": 11 + 500 * abs(noise[3]),
    }  # fmt: skip
    return values


def study_rows() -> list[dict]:
    """Return 47 trials: nine controls, 36 of the game, a pruned and a failed one."""
    generator = np.random.default_rng(7)
    rows = []
    for seed in range(3):
        for method, alpha, error, advantage in (
            ("original", None, 0.060, 0.190),
            ("retrain", None, 0.068, 0.012),
            ("sg", 0.0, 0.064, 0.120),
        ):
            values = measured(generator, error + generator.normal(0, 0.001), advantage)
            name = f"{method[:3]}{seed}"
            rows.append(trial(name, method=method, alpha=alpha, seed=seed, control=True, **values))
    for index in range(36):
        alpha = ALPHAS[index % len(ALPHAS)]
        strength = np.log10(alpha / 0.03) / 2.3
        error = 0.062 + 0.05 * strength**2 + abs(generator.normal(0, 0.006))
        advantage = max(0.004, 0.11 * (1 - strength) + abs(generator.normal(0, 0.012)))
        configuration = {
            "alpha": alpha,
            "reg": float(10 ** generator.uniform(-4, 1)),
            "solve_every": int(generator.choice([1, 5, 10, 50])),
            "update": str(generator.choice(["joint", "alternate"])),
        }
        metrics = measured(generator, error, advantage)
        rows.append(trial(f"a1b2c_{index:05d}", **configuration, **metrics))
    broken = {"alpha": 5.0, "reg": 1e-6, "solve_every": 1, "update": "joint"}
    rows.append(trial("f0", status="failed", reason="loss is NaN <script>at step 7", **broken))
    rows.append(trial("p0", status="pruned", reason="worse than the median at epoch 3", **broken))
    return rows


KEPT = {"like": 0.0, "undecided": 0.12, "remembers": 0.6, "over": -0.6}
DRAWS = (-0.06, -0.03, 0.0, 0.03, 0.06)


def judged_rows(seed: int = 0, phase: str = "search") -> list[dict]:
    """Return an original, five retrained models and a trial for each share of the original's memory
    in `KEPT`. In each metric of the verdict a retrained model is at .5, the original at .9, and the
    retrained models are `DRAWS` of that distance apart."""

    def row(name: str, kept: float, **columns: object) -> dict:
        names = ("forget_acc", "val_loss_auc", "val_rmia_auc", "val_lira_auc", "val_mia_advantage")
        shared = {"forget_fraction": 0.1, "train_examples": 4000, "classes": 10, "retain_acc": 1.0}
        values = dict.fromkeys(names, 0.5 + 0.4 * kept) | shared | {"val_acc": 0.62}
        values |= {"seed": seed, "phase": phase, "seconds": 30.0} | columns
        return trial(name, **values, val_error=1 - values["val_acc"])

    control = {"cell": "digits", "control": True}
    rows = [row("original", 1.0, method="original", **control)]
    for number, draw in enumerate(DRAWS):
        name = f"retrain-{number}" if number else "retrain"
        rows.append(row(name, draw, method="retrain", **control))
    for number, (name, kept) in enumerate(KEPT.items(), 1):
        rows.append(row(name, kept, alpha=number / 10, val_acc=0.59 + number / 100, seconds=12.0))
    return rows


def epoch_rows(rows: list[dict], epochs: int = 5) -> list[dict]:
    """Return a curve for each trial that ends in its own metrics."""
    curves = []
    for row in rows:
        if row["status"] != "complete":
            continue
        for epoch in range(1, epochs + 1):
            point = {name: row[name] for name in EPOCHS.names if name in row}
            late = 1 + 1 / epoch - 1 / epochs
            known = [name for name in ("val_error", "val_mia_advantage") if row[name] is not None]
            point |= {name: row[name] * late for name in known}
            point |= {"epoch": epoch, "train_loss": 0.3 / epoch, "solves": 4}
            curves.append(point | {"utility": -1 + 0.1 * epoch})
    return curves


def loss_rows(rows: list[dict]) -> list[dict]:
    """Return three bins of each split; remembered examples have their losses in the lowest."""
    bins = []
    for row in rows:
        known = {name: row[name] for name in HISTOGRAMS.names if name in row}
        low = round(400 * (row["val_mia_advantage"] or 0))
        for split, counts in (("forget", (low, 300, 100 - low)), ("test", (10, 600, 190))):
            for decade, count in enumerate(counts, -2):
                ends = {"low": 10.0**decade, "high": 10.0 ** (decade + 1)}
                bins.append(known | ends | {"split": split, "count": count})
    return bins


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Return the folder of the study `demo` inside a results folder."""
    return write_study(tmp_path / "results" / "demo")


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the study's page; its specification and reasons contain markup."""
    folder = write_study(tmp_path_factory.mktemp("results") / "demo")
    (folder / "spec.yaml").write_text("name: demo # </pre><script>alert(1)</script>\n")
    return write_report(read_study(folder), folder / "report.html")


def write_study(folder: Path) -> Path:
    rows = study_rows()
    for part in range(3):
        write_rows(folder / "trials", f"part-{part}.parquet", rows[part::3], TRIALS)
    write_rows(folder / "epochs", "part-0.parquet", epoch_rows(rows), EPOCHS)
    complete = [row for row in rows if row["status"] == "complete"]
    write_rows(folder / "losses", "part-0.parquet", loss_rows(complete), HISTOGRAMS)
    (folder / "spec.yaml").write_text("name: demo\nobjectives: [val_error, val_mia_advantage]\n")
    return folder


def as_frame(*rows: dict) -> pd.DataFrame:
    """Return rows of trials as `load_study` would, without the disk in between."""
    return pa.Table.from_pylist(list(rows), schema=TRIALS).to_pandas()


@pytest.fixture
def frame() -> pd.DataFrame:
    """Return the study's trials."""
    return as_frame(*study_rows())


@pytest.fixture
def judged() -> pd.DataFrame:
    """Return a study with a trial of each verdict."""
    return as_frame(*judged_rows())


@pytest.fixture(scope="session")
def synthetic() -> SimpleNamespace:
    """Return the builders above, for tests that need rows of their own."""
    return SimpleNamespace(
        frame=as_frame,
        trial=trial,
        measured=measured,
        write_rows=write_rows,
        study_rows=study_rows,
        judged_rows=judged_rows,
        epoch_rows=epoch_rows,
        loss_rows=loss_rows,
    )
