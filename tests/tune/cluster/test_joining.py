"""Nodes that join while a study runs get work, however short its runs are."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.tune import Callback, report
from ray.tune.search import Searcher

from tune.cluster.connection import QUIET
from tune.search.searcher import StudySearch
from tune.spec.spec import Spec
from tune.storage.study_folder import no_rows
from tune.study import tune_runs

pytestmark = pytest.mark.siege

SMALL = {"object_store_memory": 150 * 2**20, "include_dashboard": False}
LIMIT = 120.0  # seconds until a node that has joined has run some


class Fate(Callback):
    """Takes a node that has run a trial from a cluster, and gives it another one in its place."""

    def __init__(self, cluster: Cluster, node: Any):
        self.cluster, self.lost, self.node = cluster, node, None
        self.ran, self.joined = list[str](), math.inf

    @property
    def done(self) -> bool:
        """True if the node that joined has run some."""
        return self.node is not None and self.ran.count(self.node.node_id) >= 3

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles it for a restart that never comes

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        del iteration, trials, info
        self.ran.append(trial.last_result["row"]["node"])
        if self.lost and self.lost.node_id in self.ran:
            self.cluster.remove_node(self.lost, allow_graceful=False)
            self.lost, self.node = None, self.cluster.add_node(num_cpus=1, **SMALL)
            self.joined = time.monotonic()


@pytest.fixture
def cluster(monkeypatch) -> Iterator[Cluster]:
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    running = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **SMALL})
    running.add_node(num_cpus=1, **SMALL)
    ray.init(address=running.address, log_to_driver=False)
    yield running
    ray.shutdown()
    running.shutdown()


class Until(StudySearch):
    """Hands out runs until the node that has joined has run some, or it is too late."""

    fate: Fate

    def suggest(self, trial_id: str) -> Any:
        late = time.monotonic() > self.fate.joined + LIMIT
        return Searcher.FINISHED if late or self.fate.done else super().suggest(trial_id)


def test_a_node_that_comes_in_place_of_a_lost_one_gets_runs(cluster, tmp_path):
    content = {"name": "joined", "methods": ["finetune"], "search": {"lr": [0.1, 0.2]}}
    limits = {"trials": 10_000, "sampler": "random", "oracles": 0}
    spec = Spec.model_validate(content | limits)
    search = Until(spec, tmp_path, no_rows(), {})

    def short(config: dict[str, Any]) -> None:
        """Run for less time than a new worker takes to start."""
        del config
        time.sleep(0.5)
        node = ray.get_runtime_context().get_node_id()
        report({"row": {"val_error": 0.5, "val_mia_advantage": 0.5, "node": node}})

    search.fate = Fate(cluster, cluster.add_node(num_cpus=1, **SMALL))
    tune_runs(spec, short, search, [search.fate])
    assert search.fate.done, f"{len(search.fate.ran)} runs, too few of them on the node"
