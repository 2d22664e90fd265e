"""Connects to a Ray cluster, or starts a node on this machine for as long as the study runs."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray._private.state import state
from ray.tune.execution.class_cache import DEFAULT_ENV_VARS

from tune.cluster.dashboards import ray_arguments
from tune.spec.errors import SpecError, one_line
from tune.spec.spec import Spec

QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # a report costs 1 ms instead of 4
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # an epoch's report holds no final metrics
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # see tune.interrupt.stoppable
    "TUNE_GLOBAL_CHECKPOINT_S": "inf",  # no snapshots of Tune's own: on a full disk they end it
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a task that asks for no GPU sees none
}
DEFAULT_ENV_VARS.clear()  # Tune's, for Lightning: they make each slot start a second process


@contextmanager
def connected(spec: Spec, address: str | None) -> Iterator[str]:
    """Connect to the cluster at `address` or to a new node here; yield the url of its dashboard.

    Raises SpecError if there is no cluster, or if no node has room for a trial, which would wait
    for ever.
    """
    os.environ.update(QUIET)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a failure is a row, no traceback
    logging.getLogger("ray._private").setLevel(logging.ERROR)
    cpus = max(1, math.ceil(spec.slots * spec.cpus_per_trial)) if spec.slots else None  # None: all
    node = {} if address else {"num_cpus": cpus, **ray_arguments()}
    try:
        context: Any = ray.init(address=address or "local", log_to_driver=False, **node)
    except (ValueError, RuntimeError, ConnectionError) as error:
        expected = f"--address {address} (expected auto, or a head's such as 10.0.0.1:6379)"
        where = expected if address else "a Ray node on this machine"
        raise SpecError(f"{where}: {one_line(error)}") from error
    try:
        _check_room(spec)
        yield context.dashboard_url or ""
    finally:
        ray.shutdown()


def _check_room(spec: Spec) -> None:
    """Raise SpecError if no node has room for a trial, or will have it once the cluster grows."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    nodes.append(state.get_max_resources_from_cluster_config() or {})
    for setting, resource in (("cpus_per_trial", "CPU"), ("gpus_per_trial", "GPU")):
        wanted, most = getattr(spec, setting), max(node.get(resource, 0) for node in nodes)
        if wanted > most:
            raise SpecError(
                f"{setting} = {wanted:g}: no node has more than {most:g} {resource}s: lower it, or "
                "use a cluster that has them (--address)"
            )


def slots(spec: Spec) -> int:
    """Return the trials at a time: as specified, or as many as the cluster has room for."""
    cluster = ray.cluster_resources()
    return spec.slots_on(cluster.get("CPU", 0), cluster.get("GPU", 0))
