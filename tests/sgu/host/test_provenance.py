"""The provenance of results, in a checkout and outside one."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sgu.host.provenance import (
    FROM_NOW,
    Started,
    code_version,
    host_class,
    peak,
    reset_peak,
    versions,
)

ROOT = Path(__file__).parents[3]
PEAKS = """
import numpy as np, torch
from sgu.host.provenance import peak, reset_peak
np.ones(300 * 2**17)  # 300 MiB, freed at once
reset_peak(); low = peak(torch.device("cpu"))
np.ones(200 * 2**17); high = peak(torch.device("cpu"))
reset_peak(); print(low, high, peak(torch.device("cpu")))
"""
ASK = "from sgu.host.provenance import code_version; print(*code_version())"


def test_a_checkout_gives_its_commit():
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    commit, dirty = code_version()
    full_commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert len(commit) == 12
    assert full_commit.startswith(commit)
    assert dirty in (True, False)


def test_a_copy_outside_a_checkout_has_a_version(tmp_path):
    shutil.copytree(ROOT / "sgu" / "host", tmp_path / "sgu" / "host")
    env = os.environ | {"PYTHONPATH": str(tmp_path), "GIT_CEILING_DIRECTORIES": str(tmp_path)}
    version, dirty = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=tmp_path,
        env=env,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert version
    assert dirty == "None"


def test_versions_are_those_of_the_imported_libraries():
    assert versions()["python"] == platform.python_version()
    assert versions()["numpy"] == np.__version__


def test_a_host_class_names_processor_cores_and_memory():
    processor, cores, memory = host_class().split(", ")
    assert processor == platform.machine()
    assert int(cores.removesuffix(" cores")) == os.cpu_count()
    total = int(Path("/proc/meminfo").read_text().split()[1])  # kB
    assert abs(int(memory.removesuffix(" GiB")) - total / 2**20) <= 1


def test_a_resumed_run_started_with_its_first_attempt():
    first, second = Started(), Started()
    state = first.state()
    second.restore(state | {"seconds": 100.0})
    row = second.provenance(torch.device("cpu"))
    assert row["started"] == first.at
    assert row["attempt"] == 1
    assert 100 < row["wall_seconds"] < 101
    assert first.provenance(torch.device("cpu"))["attempt"] == 0


@pytest.mark.skipif(not FROM_NOW.exists(), reason="the system cannot reset its mark")
def test_the_peak_counts_from_its_reset():
    """A fresh process has no freed memory to give out again."""
    answer = subprocess.run(
        [sys.executable, "-c", PEAKS], cwd=ROOT, check=True, capture_output=True, text=True
    )
    low, high, again = map(float, answer.stdout.split())
    assert 190 < high - low < 230
    assert again < high - 150


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_peak_is_of_allocated_memory():
    device = torch.device("cuda")
    torch.empty(1, device=device)
    reset_peak()
    low = peak(device)
    torch.empty(100 * 2**20, dtype=torch.uint8, device=device)
    assert 99 < peak(device) - low < 110
