"""A study on a cluster without a worker, to which Ray's own fake cloud adds some.

It runs in namespaces of its own: that cloud's end would end every Ray of the machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.siege

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
HEAD = "f" * 51 + "00000"  # what the fake cloud calls the head
CLUSTER = {
    "cluster_name": "growing",
    "provider": {
        "type": "fake_multinode",
        "use_node_id_as_ip": True,  # all its nodes have one address
        "launch_multiple": True,
        "head_node_id": HEAD,
    },
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "worker": {
            "resources": {"CPU": 1, "object_store_memory": 10**8},
            "node_config": {},
            "max_workers": 2,
        },
    },
    "head_node_type": "ray.head.default",
    "max_workers": 2,
    "upscaling_speed": 1.0,
    "idle_timeout_minutes": 5,
    "auth": {},
    "docker": {},
    "file_mounts": {},
    "file_mounts_sync_continuously": False,
} | {
    f"{name}_commands": []
    for name in ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray",
                 "worker_start_ray")
} | {name: [] for name in ("cluster_synced_files", "rsync_exclude", "rsync_filter")}  # fmt: skip
OLDER = ["RAY_FAKE_CLUSTER=1", "AUTOSCALER_UPDATE_INTERVAL_S=1"]
NEWER = [
    *OLDER,
    "RAY_enable_autoscaler_v2=1",
    f"RAY_CLOUD_INSTANCE_ID={HEAD}",  # this and the next as `ray up` sets them
    "RAY_NODE_TYPE_NAME=ray.head.default",
]
STEPS = """set -e
ip link set lo up
for folder in /dev/shm /tmp/ray; do mkdir -p $folder; mount -t tmpfs none $folder; done
cloud=$(python -c 'import ray.autoscaler._private.fake_multi_node as cloud; print(*cloud.__path__)')
cp -r $cloud cloud
cp cluster.yaml cloud/example.yaml  # the file of defaults, which Ray's package lacks
mount --bind cloud $cloud
env "$@" ray start --head --num-cpus=0 --autoscaling-config=cluster.yaml --include-dashboard=false
python -m tune run grown.yaml --address auto --results . ||
    { code=$?; cat /tmp/ray/session_latest/logs/monitor.*; exit $code; }
"""


@pytest.mark.parametrize("head", [OLDER, NEWER], ids=["v1", "v2"])
def test_a_study_waits_for_the_workers_that_the_cluster_adds(tmp_path, head):
    if subprocess.run([*SPACES, "true"], capture_output=True).returncode:
        pytest.skip("needs the right to make namespaces")
    if not shutil.which("ip"):
        pytest.skip("needs ip: apt-get install iproute2")
    for name, content in (("grown", SPEC), ("cluster", CLUSTER)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    result = subprocess.run(
        [*SPACES, "bash", "-c", STEPS, "sh", *head],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "no node has more than 0 CPUs yet" in result.stdout
    assert "study grown is complete" in result.stdout
