"""The engine's overhead beside the trials themselves, and its growth with a cluster's nodes.

    .venv/bin/python benchmarks/study.py                 overhead, beside a plain loop of Optuna
    .venv/bin/python benchmarks/study.py --nodes 1 2 4   throughput of simulated clusters

A trial sleeps, so that cores do not matter. All else is the study's: the searcher, Tune, the rows
and their files. Overhead is the wall time over the sum of the trials' seconds by slot. Clusters
also run real trials, those of the default study made short; there the nodes share the cores of one
machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from ray.cluster_utils import Cluster
from ray.tune import report

from analysis import load_study
from sgu.evaluation import context
from sgu.results.schema import METRICS, REFERENCES
from tune.cluster.connection import connected, slots
from tune.live import Watch
from tune.prepare import Prepared
from tune.recorder import Recorder
from tune.search.searcher import StudySearch
from tune.spec.spec import Spec, load_spec
from tune.storage.store import Store
from tune.storage.study_folder import rows_of
from tune.study import run, tune_runs

MEASURED = dict.fromkeys(METRICS, 0.5)
SHORT = (
    "experiment.subset=400",
    "experiment.pretrain_epochs=1",
    "experiment.epochs=2",
    "oracles=0",
)
HEAVY = "tune.worker.trial"  # what a worker imports for a real trial, torch among it


def sleeping(seconds: float, imports: str):
    """Return a trial that takes so many seconds, in three epochs, and invents its objectives."""

    def body(config):
        import_module(imports)
        begin, started = time.perf_counter(), datetime.now(UTC)
        for epoch in range(3):
            time.sleep(seconds / 3)
            report({"epoch": {"epoch": epoch}})
        alpha, took = config["settings"]["alpha"], time.perf_counter() - begin
        metrics = {"val_error": alpha / 10, "val_mia_advantage": 1 / (1 + alpha), "seconds": took}
        report({"row": MEASURED | metrics | {"wall_seconds": took, "started": started}})

    return body


def spec_of(runs: int, **changes: object) -> Spec:
    """Return a study of so many runs, with its two controls, on few images."""
    changes = {"experiment": {"subset": 200}} | changes
    return Spec.model_validate({"name": "bench", "trials": runs - 2, "oracles": 0} | changes)


def engine(spec: Spec, seconds: float, imports: str, address: str | None = None) -> pd.DataFrame:
    """Return the rows of the study; in `attrs` the seconds of Ray's start, of its workers' start
    (until the first trial begins) and of the whole."""
    key = (spec.cells[0].data, spec.runs()[0])
    base = spec.cells[0].base
    shared = context(base.settings(), base.task()) | {"workers": spec.slots}
    prepared = Prepared({}, {key: shared}, {key: {"retrain": MEASURED}})
    lines = list[str]()
    with tempfile.TemporaryDirectory() as folder:
        store, begin = Store(Path(folder), spec.name), time.perf_counter()
        with connected(spec, address):
            up, began, nothing = time.perf_counter(), datetime.now(UTC), rows_of(store.folder)
            watch = Watch(spec, nothing, slots(spec), store.folder)
            space: dict[str, list[str]] = {spec.cells[0].name: []}
            recorder = Recorder(store, prepared, space, spec.trials, lines.append, watch.ended)
            search = StudySearch(spec, store.folder, nothing, prepared.references)
            tune_runs(spec, sleeping(seconds, imports), search, [recorder, watch])
            store.tidy()
            ended = time.perf_counter()
        rows = rows_of(store.folder)
        assert len(rows) == len(lines), lines
        workers = (rows["started"].min() - began).total_seconds()
        rows.attrs |= {"start": up - begin, "workers": workers, "wall": ended - up}
    return rows


def optuna_loop(journal: str, runs: int, seconds: float) -> None:
    """Run one process of a plain loop: ask, sleep, tell, until there are so many trials."""
    import_module(HEAVY)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = JournalStorage(JournalFileBackend(journal))
    study = optuna.load_study(study_name="plain", storage=storage)
    while len(study.get_trials(deepcopy=False)) < runs:
        trial = study.ask()
        alpha = trial.suggest_float("alpha", 0.1, 4.0, log=True)
        trial.suggest_float("reg", 0.003, 1.0, log=True)
        trial.suggest_categorical("solve_every", [4, 8, 16])
        time.sleep(seconds)
        study.tell(trial, [alpha / 10, 1 / (1 + alpha)])


def plain(runs: int, seconds: float, processes: int) -> float:
    """Wall seconds of the plain loop, processes and their imports included."""
    with tempfile.TemporaryDirectory() as folder:
        journal = f"{folder}/journal"
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        storage = JournalStorage(JournalFileBackend(journal))
        optuna.create_study(storage=storage, study_name="plain", directions=["minimize"] * 2)
        begin, spawn = time.perf_counter(), multiprocessing.get_context("spawn")
        workers = [
            spawn.Process(target=optuna_loop, args=(journal, runs, seconds))
            for _ in range(processes)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return time.perf_counter() - begin


def overhead(runs: int, seconds: float, processes: int) -> None:
    rows = engine(spec_of(runs, slots=processes), seconds, HEAVY)
    assert len(rows) == runs
    assert set(rows["status"]) == {"complete"}
    slept, wall = rows["wall_seconds"].sum() / processes, rows.attrs["wall"]
    print(f"{runs} trials of {rows['wall_seconds'].mean():.2f} s on {processes} slots")
    print(f"  Ray's start                 {rows.attrs['start']:6.1f} s")
    print(f"  the trials' own, by slot    {slept:6.1f} s")
    print(f"  the study                   {wall:6.1f} s   overhead {wall / slept:.3f}")
    print(f"  of it, until a trial begins {rows.attrs['workers']:6.1f} s")
    loop = plain(runs, seconds, processes)
    print(f"  plain loop of Optuna        {loop:6.1f} s   overhead {loop / slept:.3f}")
    print(f"  the study over the loop     {wall / loop:.3f}")


@contextmanager
def cluster(nodes: int):
    """Yield the address of a simulated cluster: a head without CPUs, and nodes with 2."""
    small: dict[str, Any] = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    simulated = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    try:
        for _ in range(nodes):
            simulated.add_node(num_cpus=2, **small)
        simulated.wait_for_nodes()
        yield simulated.address
    finally:
        simulated.shutdown()


def rate(rows: pd.DataFrame, room: int) -> float:
    """Return trials a second, from the moment when every slot has begun one."""
    assert set(rows["status"]) == {"complete"}
    begun = rows["started"].sort_values()
    busy = begun.iloc[room - 1]
    return float((begun > busy).sum() / (begun.max() - busy).total_seconds())


def throughput(counts: list[int], seconds: float, runs: int) -> None:
    """Print trials a minute of clusters of `counts` nodes with so many sleeping runs a slot."""
    base = None
    print(f"trials of {seconds:.0f} s, {runs} for each of 2 slots a node")
    for nodes in counts:
        room = 2 * nodes
        with cluster(nodes) as address:
            rows = engine(spec_of(runs * room, slots=room), seconds, "ray.tune", address)
        assert len(rows) == runs * room
        speed = rate(rows, room)
        base = base or speed / nodes
        print(
            f"  {nodes} nodes: {60 * speed:6.1f} a minute, efficiency {speed / nodes / base:.3f}; "
            f"with the workers' start {60 * len(rows) / rows.attrs['wall']:6.1f} a minute"
        )


def real(counts: list[int], runs: int) -> None:
    """Print the same for a whole study, as `sgu-study run --address` runs it."""
    print(f"the default study's trials on 400 images, 2 epochs; {os.cpu_count()} cores in all")
    for nodes in counts:
        room = 2 * nodes
        changes = [f"trials={runs * room - 2}", *SHORT]
        spec = load_spec(Path("studies/default.yaml"), changes)
        with cluster(nodes) as address, tempfile.TemporaryDirectory() as folder:
            study = run(spec, folder, address, say=lambda _: None)
            rows = load_study(study)
        speed = rate(rows[~rows["method"].isin(REFERENCES)], room)
        print(f"  {nodes} nodes: {60 * speed:6.1f} a minute")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--nodes", type=int, nargs="+")
    args = parser.parse_args()
    if args.nodes:
        throughput(args.nodes, args.seconds, max(2, args.trials // 4))
        real(args.nodes, max(2, args.trials // 4))
    else:
        overhead(args.trials, args.seconds, args.slots)


if __name__ == "__main__":
    main()
