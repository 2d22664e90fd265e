"""Seconds to read 1,000,000 rows with all columns, from few files and from many.

python benchmarks/load.py [--rows 1000000]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import load_study
from sgu.results.schema import METRICS, SCHEMA_VERSION, TRIALS

LAYOUTS = (1, 8, 1000)
"""How many files the rows lie in."""


def rows(count: int) -> pa.Table:
    """Return trials of five seeds as a study writes them, all columns filled, settings distinct."""
    generator = np.random.default_rng(0)
    numbers = np.arange(count)
    alphas = generator.uniform(0, 4, count)
    words = {
        "study": "benchmark", "phase": "search", "status": "complete", "dataset": "cifar10",
        "model": "resnet18", "scenario": "random", "method": "sg", "update": "joint",
        "code_version": "0123456789abcdef", "data_fingerprint": "d" * 64,
        "original_digest": "f" * 64, "device": "NVIDIA H100", "host": "worker",
        "host_class": "x86_64, 2 cores, 24 GiB",
        "versions": json.dumps({"torch": "2.14.1", "python": "3.11.9", "numpy": "2.4.6"}),
    }  # fmt: skip
    columns = {name: np.full(count, word) for name, word in words.items()}
    columns |= {name: generator.random(count) for name in METRICS}
    config = '{{"alpha": {:.17g}, "data": "cifar10", "epochs": 10, "lr": 0.01, "method": "sg"{}}}'
    rest = ', "model": "resnet18", "reg": 0.1, "scenario": "random", "update": "joint"'
    columns |= {
        "schema_version": np.full(count, SCHEMA_VERSION), "attempt": np.zeros(count, int),
        "cell": np.char.add("cifar10/", np.array(["sg", "scrub", "salun"])[numbers // 5 % 3]),
        "trial_id": np.char.zfill((numbers // 5).astype(str), 6), "seed": numbers % 5,
        "requests": np.ones(count, int), "forget_fraction": np.full(count, 0.1), "alpha": alphas,
        "reg": generator.random(count), "solve_every": generator.integers(1, 50, count),
        "control": np.zeros(count, bool), "unsolved": np.zeros(count, int),
        "config": np.array([config.format(alpha, rest) for alpha in alphas]),
        "split_digest": np.array(["a" * 64, "b" * 64, "c" * 64, "d" * 64, "e" * 64])[numbers % 5],
        "code_dirty": np.zeros(count, bool), "threads": np.ones(count, int),
        "started": numbers.astype("datetime64[s]").astype("datetime64[us]"),
        "wall_seconds": generator.random(count), "device_seconds": generator.random(count),
    }  # fmt: skip
    filled = {name: pa.array(columns[name]) for name in TRIALS.names if name in columns}
    table = pa.table(filled).take(pa.array(_as_they_end(count, generator)))
    for name in set(TRIALS.names) - set(filled):
        table = table.append_column(name, pa.nulls(count))
    return table.select(TRIALS.names).cast(TRIALS)


def _as_they_end(count: int, generator: np.random.Generator) -> np.ndarray:
    """Return the order of the rows: each up to 50 places from where it was started."""
    return np.argsort(np.arange(count) + generator.uniform(0, 50, count))


def write(table: pa.Table, folder: Path, files: int) -> None:
    folder.mkdir(parents=True)
    size = -(-len(table) // files)
    for at in range(files):
        part = table.slice(at * size, size)
        pq.write_table(part, folder / f"{at:06d}.parquet", write_page_checksum=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    count = parser.parse_args().rows
    table = rows(count)
    print(f"{count:,} rows, {len(TRIALS)} columns; seconds, best and worst of 3")
    for files in LAYOUTS:
        with tempfile.TemporaryDirectory() as folder:
            write(table, Path(folder) / "trials", files)
            size = sum(file.stat().st_size for file in Path(folder).rglob("*.parquet"))
            taken = []
            for _ in range(3):
                start = time.perf_counter()
                frame = load_study(folder)
                taken.append(time.perf_counter() - start)
            assert len(frame) == count
            print(
                f"  {files:5,} files, {size / 2**20:5.0f} MiB  {min(taken):5.2f} {max(taken):5.2f}"
            )


if __name__ == "__main__":
    main()
