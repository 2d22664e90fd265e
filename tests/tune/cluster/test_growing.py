"""A study on a cluster without a worker, to which Ray's own fake cloud adds some.

It runs in namespaces of its own: that cloud's end would end every Ray of the machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not os.environ.get("SGU_CLUSTERS"), reason="minutes: set SGU_CLUSTERS=1"),
]

ROOT = Path(__file__).parents[3]
SPACES = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
SPEC = {
    "name": "grown",
    "experiment": {"data": "embedded", "subset": 400, "pretrain_epochs": 1, "epochs": 1},
    "search": {"alpha": {"low": 0.1, "high": 1.0}},
    "trials": 2,
    "slots": 2,
    "oracles": 0,
}
STUDY = """
import subprocess, sys
from ray.cluster_utils import AutoscalingCluster

subprocess.run("ip link set lo up && mount -t tmpfs none /dev/shm", shell=True, check=True)
worker = {"resources": {"CPU": 1, "object_store_memory": 10**8}, "node_config": {},
          "min_workers": 0, "max_workers": 2}
cluster = AutoscalingCluster({"CPU": 0}, {"worker": worker}, autoscaler_v2=sys.argv[2] == "v2")
cluster.start()
run = [sys.executable, "-m", "tune", "run", "grown.yaml", "--address", "auto", "--results"]
sys.exit(subprocess.run([*run, sys.argv[1]]).returncode)
"""


@pytest.mark.parametrize("autoscaler", ["v1", "v2"])
def test_a_study_waits_for_the_workers_that_the_cluster_adds(tmp_path, autoscaler):
    if subprocess.run([*SPACES, "true"], capture_output=True).returncode:
        pytest.skip("needs the right to make namespaces")
    (tmp_path / "grown.yaml").write_text(yaml.safe_dump(SPEC))
    (tmp_path / "study.py").write_text(STUDY)
    result = subprocess.run(
        [*SPACES, sys.executable, "study.py", str(tmp_path), autoscaler],
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "no node has more than 0 CPUs yet" in result.stdout
    assert "study grown is complete" in result.stdout
