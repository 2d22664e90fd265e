"""Where a number comes from, in a checkout and outside of one."""

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

from sgu.host.provenance import Started, code_version, host_class, versions

ROOT = Path(__file__).parents[3]
ASK = "from sgu.host.provenance import code_version; print(*code_version())"


def test_a_checkout_gives_its_commit():
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    commit, dirty = code_version()
    whole = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert len(commit) == 12
    assert whole.startswith(commit)
    assert dirty in (True, False)


def test_a_copy_outside_a_checkout_still_answers(tmp_path):
    (tmp_path / "sgu").mkdir()
    shutil.copy(ROOT / "sgu" / "provenance.py", tmp_path / "sgu")
    env = os.environ | {"PYTHONPATH": str(tmp_path), "GIT_CEILING_DIRECTORIES": str(tmp_path)}
    said = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=tmp_path,
        env=env,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert said[0]
    assert said[1] == "None"


def test_versions_are_those_imported():
    assert versions()["python"] == platform.python_version()
    assert versions()["numpy"] == np.__version__


def test_a_host_is_of_a_class():
    processor, cores, memory = host_class().split(", ")
    assert processor == platform.machine()
    assert int(cores.removesuffix(" cores")) == os.cpu_count()
    total = int(Path("/proc/meminfo").read_text().split()[1])  # kB
    assert abs(int(memory.removesuffix(" GiB")) - total / 2**20) <= 1


def test_a_run_that_goes_on_began_when_its_first_attempt_did():
    first, second = Started(), Started()
    state = first.state()
    second.restore(state | {"seconds": 100.0})
    row = second.provenance(torch.device("cpu"))
    assert row["started"] == first.at
    assert row["attempt"] == 1
    assert 100 < row["wall_seconds"] < 101
    assert first.provenance(torch.device("cpu"))["attempt"] == 0
