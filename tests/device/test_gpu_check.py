"""The prepared check of a machine with a GPU, small, on the device of the tests."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_check.py"


@pytest.mark.long
def test_the_check_leaves_its_figures(device, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location("gpu_check", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["gpu_check"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    words = ["--small", "--device", str(device), "--subset", "400", "--out", str(tmp_path)]
    module.main(words)
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert list(parts) == ["tests", "engine", "steps", "runs"]
    rows = [row for part in parts.values() for row in part]
    assert not [row for row in rows if "failed" in row]
    assert [row["solved"] for row in parts["engine"]] == [1.0] * 4
    assert [row["run"] for row in parts["runs"]] == [
        "original", "retrain", "sg, audit_batch 40", "finetune", "sg, audit_batch 80",
    ]  # fmt: skip
    assert "## runs" in capsys.readouterr().out
