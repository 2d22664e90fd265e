"""cluster.yaml is a file that Ray's launcher accepts, and says what its validation overlooks."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

CLUSTER = Path(__file__).parents[1] / "cluster.yaml"


@pytest.fixture
def cluster() -> dict:
    return yaml.safe_load(CLUSTER.read_text())


def test_ray_accepts_it(cluster: dict) -> None:
    validate_config(prepare_config(cluster))


def test_ray_would_refuse_a_wrong_key(cluster: dict) -> None:
    with pytest.raises(Exception, match="max_worker"):
        validate_config(prepare_config(cluster | {"max_worker": 3}))


def test_head_steers_only_and_workers_find_it(cluster: dict) -> None:
    assert any(
        "--head" in line and "--num-cpus=0" in line for line in cluster["head_start_ray_commands"]
    )
    assert any("--address=$RAY_HEAD_IP" in line for line in cluster["worker_start_ray_commands"])
    assert all("0.0.0.0" not in line for line in cluster["head_start_ray_commands"])
