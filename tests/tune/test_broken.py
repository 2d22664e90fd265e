"""A trial that breaks becomes a row with its reason, and the study goes on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from analysis import load_study

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SPEC = {
    "name": "broken",
    "experiment": {
        "data": "embedded", "subset": 4000, "pretrain_epochs": 1, "epochs": 1, "batch_size": 4000,
    },
    "search": {"alpha": {"low": 0.1, "high": 1.0}, "lr": [0.01, 1e6]},  # the last one diverges
    "trials": 3,
    "oracles": 0,
    "slots": 2,
    "sampler": "random",
}  # fmt: skip


def study(folder: Path, *words: str, launcher: Path | None = None) -> subprocess.CompletedProcess:
    start = [str(launcher), str(folder / "log")] if launcher else ["-m", "tune"]
    return subprocess.run(
        [sys.executable, *start, *words, "--results", str(folder)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=1200,
    )  # fmt: skip


@pytest.mark.long
def test_a_worker_that_dies_each_time_and_one_without_memory(tmp_path):
    spec = tmp_path / "broken.yaml"
    spec.write_text(yaml.safe_dump(SPEC))
    ended = study(tmp_path, "run", str(spec), launcher=HERE / "broken.py")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = load_study(tmp_path / "broken").set_index("trial_id")
    assert rows.loc["0000", "status"] == "failed"
    assert re.search("died|unavailable", rows.loc["0000", "reason"])  # Ray knows, or only suspects
    assert rows.loc["0001", "status"] == "failed"
    assert "memory" in rows.loc["0001", "reason"]
    others = rows.drop(index=["0000", "0001"])
    assert len(others) == 5  # the references, and three that the sampler proposed
    diverged = others[others["status"] == "failed"]
    assert all(reason.split(":")[0] in ("Diverged", "AuditorError", "ValueError")
               for reason in diverged["reason"])  # fmt: skip
    runs = (tmp_path / "log").read_text().split()
    assert runs.count("0000") == 1 + 1  # `broken.DEATHS` and the last
    assert {name: runs.count(name) for name in set(runs) - {"0000"}} == dict.fromkeys(
        ["0001", "0002", "0003", "0004"], 1
    )


@pytest.mark.long
def test_a_gpu_that_is_not_there_is_one_line(tmp_path):
    spec = tmp_path / "broken.yaml"
    spec.write_text(yaml.safe_dump(SPEC | {"gpus_per_trial": 64}))
    ended = study(tmp_path, "run", str(spec))
    assert ended.returncode == 2
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("sgu-study: ")]
    assert "gpus_per_trial = 64" in line
    assert "no node has more than" in line
    assert not (tmp_path / "cache").exists()  # nothing was trained
