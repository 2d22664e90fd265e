"""A study survives SIGKILL to its workers, nodes and drivers at random moments, a node that is cut
off from the others, and a store that answers nobody.

Its rows are checked against an independent log (witness.py) of when each run began and ended, and
against copies that a watcher takes of each row when it appears.
"""

from __future__ import annotations

import io
import json
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from optuna.storages import JournalStorage
from pyarrow.fs import FileSystem
from ray._private.ray_constants import PROCESS_TYPE_RAYLET
from ray.cluster_utils import Cluster

from analysis import load_epochs, load_study
from sgu.experiment import Experiment
from sgu.files.location import Location, joined
from sgu.networks.references import recipe, reference
from sgu.results.schema import KEY, METRICS
from sgu.unlearning import unlearn
from tune.search.journal import Journal
from tune.storage.store import PARTS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EPOCHS = 10
SPEC = {
    "name": "faults",
    "experiment": {"data": "embedded", "subset": 400, "pretrain_epochs": 2, "epochs": EPOCHS},
    "search": {"alpha": {"low": 0.1, "high": 1.0}, "reg": {"low": 0.01, "high": 1.0, "log": True}},
    "oracles": 0,
    "slots": 2,
    "sampler": "random",
}


@contextmanager
def nodes() -> Iterator[tuple[Cluster, list[Any]]]:
    """Yield a cluster of a head without CPUs, and its two nodes of one CPU each."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **SMALL})
    try:
        yield cluster, [cluster.add_node(num_cpus=1, **SMALL) for _ in range(2)]
    finally:
        cluster.shutdown()


KILLS = 8 * ["worker"] + 6 * ["driver"] + 6 * ["node"]
random.Random(0).shuffle(KILLS)
SMALL = {"object_store_memory": 150 * 2**20, "include_dashboard": False}


@dataclass
class Watcher(threading.Thread):
    """Copies each row of a study when it appears."""

    folder: Location
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        while not self.over.wait(0.1):
            for name in self.folder.names():
                if name not in self.rows and not name.startswith("packed"):
                    self._copy(name)

    def _copy(self, name: str) -> None:
        file = self.folder.inside(name)
        content, written = file.read(), file.info.mtime
        if content is None or written is None:
            return  # packed in the meantime
        try:
            (row,) = pq.read_table(io.BytesIO(content)).to_pylist()
        except Exception:
            self.unreadable.add(name)
            return
        rounded = 0 if self.folder.local else 1  # a store's times are whole seconds
        self.rows[name], self.times[name] = row, written.timestamp() + rounded


class Siege:
    """A study on a cluster, and what it has to survive.

    scratch: for logs; results: a folder or an address as the study has it; watched: the same as it
    is reached while the store answers nobody.
    """

    def __init__(
        self,
        scratch: Path,
        cluster: Cluster,
        workers: list[Any],
        seed: int,
        trials: int,
        results: str | None = None,
        watched: str | None = None,
    ):
        self.scratch, self.cluster, self.workers = scratch, cluster, workers
        self.results = results or str(scratch)
        self.address = joined(watched or self.results, "faults")
        self.files, self.log = Location.at(self.address), scratch / "witness.log"
        self.spec = scratch / "faults.yaml"
        self.spec.write_text(yaml.safe_dump(SPEC | {"trials": trials}))
        self.drawn, self.killed, self.drivers = random.Random(seed), list[str](), 0
        self.watcher = Watcher(self.files.inside("trials"))
        self.watcher.start()
        self.start()

    def start(self) -> None:
        words = ["resume", "faults"] if self._begun() else ["run", str(self.spec)]
        command = [sys.executable, str(HERE / "witness.py"), str(self.log), *words]
        command += ["--results", self.results, "--address", self.cluster.address]
        output = (self.scratch / "driver.log").open("ab")
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        self.driver = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=output)
        self.drivers += 1

    def _begun(self) -> bool:
        return self.files.inside("spec.yaml").read() is not None

    def kill(self, what: str) -> None:
        """Kill one at a random moment after a trial of this driver has left a checkpoint."""
        self.wait_for(lambda: self.under_way() and self.checkpoints(), "a trial")
        time.sleep(self.drawn.uniform(0, 3))
        {"worker": self._worker, "node": self._node, "driver": self._driver}[what]()
        self.killed.append(what)

    def under_way(self) -> list[int]:
        """Return the processes in which trials run."""
        last = {line["pid"]: line["what"] for line in self.witnessed()}
        return [pid for pid, what in last.items() if what == "began" and _alive(pid)]

    def checkpoints(self) -> list[str]:
        return self.files.inside("artifacts/checkpoints").names()

    def _worker(self) -> None:
        while True:
            pid = self.drawn.choice(self.wait_for(self.under_way, "a trial"))
            with suppress(ProcessLookupError):  # it has just ended
                return os.kill(pid, signal.SIGKILL)

    def partition(self, seconds: float) -> None:
        """Cut a node off: its processes stand still, and go on when others have its work."""
        self.wait_for(lambda: self.under_way() and self.checkpoints(), "a trial")
        node = self.workers.pop(self.drawn.randrange(len(self.workers)))
        (raylet,) = node.all_processes[PROCESS_TYPE_RAYLET]
        root = psutil.Process(raylet.process.pid)
        cut_off = [root, *root.children(recursive=True)]
        for process in cut_off:
            process.suspend()
        time.sleep(seconds)
        for process in cut_off:
            with suppress(psutil.NoSuchProcess):
                process.resume()
        self.cluster.remove_node(node, allow_graceful=False)
        self.workers.append(self.cluster.add_node(num_cpus=1, **SMALL))

    def _node(self) -> None:
        node = self.workers.pop(self.drawn.randrange(len(self.workers)))
        self.cluster.remove_node(node, allow_graceful=False)
        self.workers.append(self.cluster.add_node(num_cpus=1, **SMALL))

    def _driver(self) -> None:
        self.driver.kill()
        self.driver.wait()
        self.start()

    def wait_for(self, condition: Any, what: str, limit: float = 600) -> Any:
        end = time.monotonic() + limit
        while not (value := condition()):
            assert self.driver.poll() is None, f"the driver ended: {self.output()}"
            assert time.monotonic() < end, f"waited {limit} s for {what}: {self.output()}"
            time.sleep(0.05)
        return value

    def finish(self) -> None:
        assert self.driver.wait(1200) == 0, self.output()
        self.watcher.over.set()
        self.watcher.join()

    def output(self) -> str:
        return (self.scratch / "driver.log").read_text()[-3000:]

    def witnessed(self) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines]


def _alive(pid: int) -> bool:
    """Return True if a process runs, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def key_of(row: Any) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY[1:])


def report_of(siege: Siege, trials: int) -> dict[str, Any]:
    """Return figures of what came of the study."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows, epochs = load_study(siege.address), load_epochs(siege.address)
    final = {key_of(row): row for row in rows.to_dict("records")}
    written = {key_of(row): siege.watcher.times[name] for name, row in siege.watcher.rows.items()}
    log = pd.DataFrame(siege.witnessed())
    began, ended = (log[log["what"] == what] for what in ("began", "ended"))
    storage = JournalStorage(Journal.stored(siege.files))
    states = [
        trial.state.name
        for cell in optuna.get_all_study_names(storage)
        for trial in optuna.load_study(study_name=cell, storage=storage).trials
    ]
    files = [part.inside(name) for part in map(siege.files.inside, PARTS) for name in part.names()]
    sampled = rows[rows["control"] == False]  # noqa: E712
    return {
        "kills": len(siege.killed),
        "drivers": siege.drivers,
        "trials": len(sampled),
        "failed": rows.loc[rows["status"] != "complete", "reason"].tolist(),
        "rows": len(rows),
        "runs begun": len(began),
        "runs ended": len(ended),
        "gone on from a checkpoint": int((rows["attempt"] > 0).sum()),
        "lost": [
            name
            for name, row in siege.watcher.rows.items()
            if not _kept(row, final.get(key_of(row)))
        ],
        "run twice": [
            line
            for line in began.to_dict("records")
            if line["at"] > written.get(key_of(line), math.inf)
        ],
        "same settings": int(sampled["config"].duplicated().sum()),
        "zombies": states.count("RUNNING"),
        "unreadable": [*siege.watcher.unreadable, *(f.name for f in files if not _readable(f))],
        "epochs missing": trials + 2 - int((epochs.groupby("trial_id").size() == EPOCHS).sum()),
        "checkpoints left": len(siege.checkpoints()),
    }


def _kept(row: dict[str, Any], final: Any) -> bool:
    """Return True if a row is at the end what it was when it appeared."""
    names = ("config", "status", "attempt", "wall_seconds", *METRICS)
    return final is not None and all(
        row[name] == final[name] or (pd.isna(row[name]) and pd.isna(final[name])) for name in names
    )


def _readable(file: Location) -> bool:
    try:
        return pq.read_table(io.BytesIO(file.read() or b"")).num_rows > 0
    except Exception:
        return False


def check(siege: Siege, trials: int) -> None:
    figures = report_of(siege, trials)
    print(f"\n{json.dumps(figures, indent=1)}")
    for nothing in ("failed", "lost", "run twice", "unreadable"):
        assert figures[nothing] == [], nothing
    for none in ("same settings", "zombies", "epochs missing", "checkpoints left"):
        assert figures[none] == 0, none
    assert figures["trials"] == trials
    assert figures["rows"] == trials + 4  # two controls, the original and the retrained model
    assert figures["runs begun"] > trials + 2, "no kill hit a trial"


def check_bits(siege: Siege, count: int) -> None:
    """Compare trials that were cut off with uninterrupted runs, to the bit."""
    rows = load_study(siege.address)
    resumed = rows[rows["attempt"] > 0].head(count)
    assert len(resumed), "no trial went on from a checkpoint"
    for row in resumed.to_dict("records"):
        experiment = Experiment.of(**json.loads(row["config"]))
        task, cpu = experiment.task(siege.scratch / "cache"), torch.device("cpu")
        original_recipe = recipe("original", experiment.model, task, experiment.seed, 2)
        assert (siege.scratch / "cache" / original_recipe.filename).is_file()
        original = reference(original_recipe, task, siege.scratch / "cache", cpu)
        outcome = unlearn(experiment, task, original.model)
        for name, value in outcome.metrics.items():
            if "seconds" not in name:
                assert row[name] == value or (pd.isna(row[name]) and pd.isna(value)), name


@pytest.mark.long
def test_kills_at_random_moments(tmp_path):
    """Some of each kind; `test_kills_a_partition_and_an_outage_of_the_store` has all twenty."""
    trials = 10
    with nodes() as (cluster, workers):
        siege = Siege(tmp_path, cluster, workers, seed=0, trials=trials)
        for what in ("worker", "driver", "node", "worker"):
            siege.kill(what)
        siege.finish()
    check(siege, trials)
    check_bits(siege, 1)


WHOLE = "SGU_WHOLE_SIEGE"
"""Set it for 20 kills, 60 s of partition and 40 s of outage: some ten minutes on two cores."""


@pytest.mark.long
@pytest.mark.skipif(not os.environ.get("SGU_CLUSTERS"), reason="minutes: set SGU_CLUSTERS=1")
def test_kills_a_partition_and_an_outage_of_the_store(tmp_path, proxy):
    """The store is a real one, behind a proxy that refuses and then hangs."""
    kills, trials, apart, outage = ["worker", "driver", "node"], 8, 15.0, 10.0
    if os.environ.get(WHOLE):
        kills, trials, apart, outage = KILLS, 30, 60.0, 40.0
    query = "scheme=http&region=us-east-1&allow_bucket_creation=true&endpoint_override=127.0.0.1:"
    filesystem, bucket = FileSystem.from_uri(f"s3://siege?{query}{proxy.store}")
    filesystem.create_dir(bucket)
    places = [f"s3://{bucket}/studies?{query}{port}" for port in (proxy.server_port, proxy.store)]
    with nodes() as (cluster, workers):
        siege = Siege(tmp_path, cluster, workers, 1, trials, *places)
        for number, what in enumerate(kills):
            siege.kill(what)
            if number == len(kills) // 3:
                siege.partition(apart)
            if number == 2 * len(kills) // 3:
                for proxy.fault in ("503", "hang"):
                    time.sleep(outage / 2)
                proxy.fault = ""
        siege.finish()
    check(siege, trials)
